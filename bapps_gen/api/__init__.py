"""The public Python API: what every command does, as functions. Use it as `import bapps_gen`.

A thin room above the pipelines: each function takes plain values, resolves paths, workers and
progress, calls what the command line calls, and returns an open dataset, arrays, or a record.
"""
