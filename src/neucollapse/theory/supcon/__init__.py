"""The supervised contrastive loss of free unit features, beside the cross-entropy of the sphere."""
