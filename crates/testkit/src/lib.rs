//! For tests only: virtual clock, faulty storage, scripted peer, the program under test.
