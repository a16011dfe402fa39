//! authd, told in the words of those who use it.
