"""CNN distorters: small networks that restore a corrupted patch and leave the marks of doing so.

The paper generates 96 "denoising autoencoders" by varying task, architecture and loss (section 2,
table 2 right). Here are their specs, their training, and the zoo they are kept in:
`bapps_gen.cnn_distorters.zoo.open_zoo` renders with them.

Importing this package, its `spec` and its `table` does not import torch.
"""
