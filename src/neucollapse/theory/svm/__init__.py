"""Cross-entropy without regularisation and the hard-margin multi-class SVM that its flow turns towards.

``max_margin`` solves the SVMs exactly, ``model`` follows the flow over log time.
"""
