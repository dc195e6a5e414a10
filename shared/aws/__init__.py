"""How we ask AWS: by botocore kept from this machine, through the guarded client, and what its errors mean."""
