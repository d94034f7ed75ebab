//! Faults in real runs, told at the boundary: in this process and in a child that is killed.

mod child;
mod commands;
mod kit;
mod windows;
