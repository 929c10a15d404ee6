# Command lines that the documentation shows; test_reference.py parses them.
# --8<-- [start:dev]
rivetless dev app.py
rivetless dev shop.actors:registry --store sqlite:/tmp/shop.db --reload
# --8<-- [end:dev]
