"""The screen: the app, its layout and its keys. Imports everything but `commands` and `cli`."""
