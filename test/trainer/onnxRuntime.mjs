/** Runs ONNX models for tests, one message a model: onnxruntime must not be loaded into Jest's process. */
import ort from 'onnxruntime-node';

process.on('disconnect', () => process.exit());
process.on('message', ({ model, runs }) => {
  execute(model, runs).then(
    (results) => process.send({ results }),
    (error) => process.send({ error: String(error) }),
  );
});

async function execute(model, runs) {
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    // Errors only: it warns of every output whose size differs from a declared one.
    logSeverityLevel: 3,
  });
  const results = [];
  for (const feeds of runs) {
    const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [
      name,
      new ort.Tensor(type, data, dims),
    ]);
    const outputs = await session.run(Object.fromEntries(tensors));
    results.push(
      Object.fromEntries(Object.entries(outputs).map(([name, { data, dims }]) => [name, { data, dims }])),
    );
  }
  await session.release();
  return results;
}
