"""What is shipped for servers, tried as shipped: by the real parsers and by live requests."""
