"""The DeepSeekCoder decoder and everything that decides what it is and where its arrays lie."""
