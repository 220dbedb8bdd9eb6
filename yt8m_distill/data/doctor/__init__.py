"""The record doctor: what files hold, what is wrong with them, which flags fit them."""
