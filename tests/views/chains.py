"""Random nets whose rows are a chain, some of them on several columns."""

from __future__ import annotations

from hypothesis import strategies as st

from netspec import Net
from tests.helpers import load_rows


@st.composite
def chains(draw: st.DrawFn) -> Net:
    """Convolutions, pools, norms and fully connected layers on an input of 32x32."""
    columns = draw(st.sampled_from([1, 2, 3]))
    rows = [f"columns {columns}"]
    size, is_first = 32, True
    for number in range(draw(st.integers(1, 5))):
        kernel = draw(st.integers(1, min(3, size)))
        is_grouped = columns > 1 and not is_first and draw(st.booleans())
        text = f"conv {kernel}x{kernel}, {6 * draw(st.integers(1, 20))}"
        text += f", groups={columns}" if is_grouped else ""
        size, is_first = size - kernel + 1, False
        text += draw(st.sampled_from(["", " | relu", " | lrn 3", " | bn eps=1e-5 | relu"]))
        rows.append(f"c{number}: {text}")
        if size >= 4 and draw(st.booleans()):
            rows.append(f"p{number}: {draw(st.sampled_from(['maxpool', 'avgpool']))} 2x2/2")
            size //= 2
    for number in range(draw(st.integers(0, 2))):
        rows.append(f"f{number}: fc {draw(st.integers(1, 500))} | relu")
    rows.append(draw(st.sampled_from(["last: relu", "last: fc 10 | softmax", "last: flatten"])))
    return load_rows("\n".join(rows), "net chain\ninput image 32x32x3\n")
