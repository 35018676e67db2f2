"""The guide's own networks: NumPy alone, each formula beside its derivative, to be read whole.

Read the files in this order:

    perceptron    a decision from weighted evidence, and what one decision cannot do
    activations   what a neuron makes of its sum, and how steeply
    losses        how wrong the answers are, as a number that can be descended
    line          the loss of a line, and its slope: two numbers, so that all can be drawn
    descent       walking downhill: all the data, a few at a time, with momentum
    outputs       how a network ends, and the loss that goes with it
    network       layers, and the four equations of backpropagation
    fitting       mini-batch descent of any network, epoch by epoch
    convolution   one small set of weights that slides over an image
    pooling       keeping the strongest or the mean of each neighborhood
    cnn           all of it together: a network that reads digits
    checks        what the files above ask of the arrays that they are given

Everywhere: float64, a batch is [N, features], images are [N, channels, height, width].
"""
