"""The Flower server: FedAvg over all clients, evaluated on the held-out images after every round."""

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from peers_app.work import WORK, accuracy, held_out, initial_model, tell

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    tell("working")
    model, test = initial_model(), held_out()

    def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord:
        model.load_state_dict(arrays.to_torch_state_dict())
        found = accuracy(model, test)
        tell("round", round=number, accuracy=found)
        return MetricRecord({"accuracy": found})

    clients = WORK["clients"]
    strategy = FedAvg(
        fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=clients, min_available_nodes=clients
    )
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(model.state_dict()),
        num_rounds=WORK["rounds"],
        evaluate_fn=evaluate,
    )
    tell("done")
