"""How network devices and Windows hosts are logged into and asked: their sessions and the words of their refusals.

What is read there, or put there, is for the services to say.
"""
