"""The ONNX backend: writes a net as an ONNX model, with ONNX's own operators where they exist."""
