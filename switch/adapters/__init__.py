"""What Switch touches outside itself: worker processes and their sockets."""
