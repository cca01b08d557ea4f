"""What a notebook uses: data set, synthesizer, classifier, quality report. Import it from `labelmint`."""
