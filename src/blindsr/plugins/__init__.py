"""What a user adds to: a file each for a backbone, a regularizer, a degradation, a loss or a metric."""
