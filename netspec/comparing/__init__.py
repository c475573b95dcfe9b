"""The AlexNet paper's comparisons: nets that differ in one thing, trained side by side."""
