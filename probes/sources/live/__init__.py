"""The source that is this kernel: polls attachments, follows interfaces, keeps the budget."""
