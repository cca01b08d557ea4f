"""The DAG as a Prefect flow, and the servers of Prefect and MLflow."""
