from test_zoo import *
def test_x(hub, repository, plain_entry):
    hub.repositories["org/tiny"]=repository
    try: zoo.pull("tiny",source="hub")
    finally: print("\n".join(hub.log))
