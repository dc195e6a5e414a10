"""What every service needs and no service owns.

The rule of this package: no service's name, no business rule, and at least three users or a
contract between services. What only one service needs lives in that service.
"""
