"""The ONNX backend: a net as an ONNX model, each operator in ONNX's own words where it has them."""
