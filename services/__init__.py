"""The five services of Everleaf and the program that runs them."""
