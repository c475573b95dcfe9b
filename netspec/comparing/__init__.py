"""The comparisons in the AlexNet paper: train and compare nets that differ in one property."""
