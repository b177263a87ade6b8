"""The source that is another host, by ssh: both ends of the conversation."""
