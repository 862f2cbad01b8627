"""What `ktrdr doctor` looks at: each module examines one thing and says what it found.

Every examination changes nothing, takes seconds at most, and works whether the service is up or not.
"""
