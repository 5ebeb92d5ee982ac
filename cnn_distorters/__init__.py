"""CNN distorters: small networks that restore a corrupted patch and leave artifacts of doing so.

The paper generates 96 "denoising autoencoders" by varying task, architecture and loss (section 2,
table 2 right). Here are their specs, their training, and the zoo that keeps them:
`bapps_gen.cnn_distorters.zoo.open_zoo` opens one to render with.

Importing this package, its `spec` and its `table` does not import torch.
"""
