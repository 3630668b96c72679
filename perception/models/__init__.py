"""The networks, in torch: backbone -> neck -> heads in cascade order -> exported graph."""
