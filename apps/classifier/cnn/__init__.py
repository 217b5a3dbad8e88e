"""Networks of the classifier: plain Python, no Django.

Inference (series, runtime, lungs, candidates, patches) never imports TensorFlow;
training, networks and export do, and only where they run.
"""
