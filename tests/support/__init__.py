"""What tests of several rooms share: a house in a temporary folder, a clock in the hand, real servers."""
