"""Mirrors a grid's journals into MLflow; the only importer of mlflow."""
