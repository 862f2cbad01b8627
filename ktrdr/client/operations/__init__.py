"""What can be asked of a service: one function for each operation, which says what to send and how to read the answer.

None of them speaks to anybody. `ktrdr.client` makes its methods from them.
"""
