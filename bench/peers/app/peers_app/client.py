"""The Flower client: one thread of PyTorch on its share of the data."""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from peers_app.work import initial_model, share, tell, train

app = ClientApp()


@app.train()
def fit(message: Message, context: Context):
    client = int(context.node_config["partition-id"])
    number = int(message.content["config"]["server-round"])
    tell("training", client=client, round=number)
    torch.set_num_threads(1)
    model = initial_model()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    samples = train(model, share(client), seed=1000 * number + client)
    metrics = MetricRecord({"num-examples": samples})
    reply = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content=reply, reply_to=message)
