"""What a notebook uses: data set, synthesizer, classifier, quality report. Import the names from `labelmint`."""
