"""What touches the network for the door: the byte passage for HTTP and the one for WebSockets."""
