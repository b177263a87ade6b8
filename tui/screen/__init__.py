"""The screen: the app, what it draws and its keys. Imports everything but `commands` and `cli`."""
