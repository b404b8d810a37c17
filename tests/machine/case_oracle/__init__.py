"""What must become of what is stated, by the rules of the domain alone, in plain Python that shares only words with
the product. Where the domain leaves a choice, the oracle allows several answers, and then adopts the one it is shown.
"""
