"""Clients of AWS's services: signed requests of our own, or AWS's SDK behind the same protocol.

May import errors, clock and frozen. boto3 is loaded by ``aws.boto`` only, and only where its search
for credentials is needed.
"""
