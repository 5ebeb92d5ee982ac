"""The flow of data, a folder for each step.

    sources       photos in: ordered lists of images, each with a fingerprint
    rows          spec -> plan -> pixels of one row; real: the same from outputs of algorithms
    datasets      rows -> shards -> dataset: make, verify, replay, export, import
    scoring       distances of rows by metrics, and metrics against human judgments
    validation    reports on datasets, collections and zoos
    collections   many datasets made with one command
    benchmarks    every distortion at every level
    training      zoos of CNN distorters

A row depends on its spec, its index and the photos, and on nothing else; data flows one way.
"""
