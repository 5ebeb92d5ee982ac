"""The Parquet manifests: schema, shards, dataset folder, readers."""
