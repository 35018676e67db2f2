"""NAME.heatmap.groovy: shows the heatmap TIFF over the slide in QuPath 0.5 to 0.7."""

from __future__ import annotations

from pathlib import Path

from eosin.data.tints import PROBABILITY_COLORS, rgb
from eosin.records.model import INTENDED_USE
from eosin.scanning.ometiff import NO_PATCH, Raster
from eosin.scanning.scan import Scan

#: Places that begin with @ are filled in; the values are numbers and quoted texts.
_SCRIPT = """\
// Shows a heatmap of eosin over the slide that is open in QuPath (0.5 to 0.7).
// @use
// Run it in Automate > Script editor. The key C shows and hides the overlay, as it does with the
// results of a pixel classifier. Save nothing: the overlay is a picture, no object.
import java.awt.image.BufferedImage
import javafx.application.Platform
import qupath.fx.dialogs.FileChoosers
import qupath.fx.utils.FXUtils
import qupath.lib.gui.viewer.overlays.BufferedImageOverlay
import qupath.lib.images.servers.ImageServers
import qupath.lib.regions.ImageRegion
import qupath.lib.regions.RegionRequest

// The heatmap: a path here, or it is looked for beside the slide and asked for.
def path = ''
// The channel to show, counted from 0: @channels
int channel = 0
// From this probability on a place is colored; 0 shows all patches.
double least = 0.0
double opacity = 0.55

def name = @name
def viewer = getCurrentViewer()
def slide = getCurrentServer()
if (slide == null) {
    println 'Open the slide first, then run this script again.'
    return
}
if (path.isEmpty()) {
    def files = slide.getURIs().findAll { it.getScheme() == 'file' }.collect { new File(it) }
    def places = files.collectMany { [it.getParentFile(), new File(it.getParentFile(), @folder)] }
    def found = places.collect { new File(it, name) }.find { it.exists() }
    if (found == null)
        found = FXUtils.callOnApplicationThread { FileChoosers.promptForFile('Where is ' + name) }
    if (found == null)
        return
    path = found.getAbsolutePath()
}
def heatmap = ImageServers.buildServer(new File(path).toURI())
if (heatmap.nChannels() != @count) {
    println 'This script needs the Bio-Formats extension, which reads all channels of ' + name
    return
}
// As fine as a screen shows it.
double down = Math.max(1.0, Math.max(heatmap.getWidth(), heatmap.getHeight()) / 4096.0)
def raster = heatmap.readRegion(RegionRequest.createInstance(heatmap, down)).getRaster()
int wide = raster.getWidth(), tall = raster.getHeight()
def stops = @stops
def picture = new BufferedImage(wide, tall, BufferedImage.TYPE_INT_ARGB)
int alpha = (int) Math.round(255 * opacity)
for (int y = 0; y < tall; y++) {
    for (int x = 0; x < wide; x++) {
        double p = raster.getSample(x, y, channel) / 255.0
        // The last channel tells where there is a patch.
        if (raster.getSample(x, y, @last) == @none || p < least)
            continue
        double at = p * (stops.size() - 1)
        int k = Math.min((int) at, stops.size() - 2)
        int argb = alpha
        for (int c = 0; c < 3; c++) {
            double part = stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c])
            argb = (argb << 8) | (int) Math.round(part)
        }
        picture.setRGB(x, y, argb)
    }
}
// The heatmap begins at the corner of level 0; QuPath counts from the corner of the scanned part.
def region = ImageRegion.createInstance(@x, @y, @width, @height, 0, 0)
Platform.runLater {
    def overlay = new BufferedImageOverlay(viewer.getOverlayOptions(), region, picture)
    viewer.getOverlayOptions().setShowPixelClassification(true)
    viewer.getCustomOverlayLayers().setAll(overlay)
    viewer.repaint()
}
println 'Shown: ' + path
"""


def write_script(scan: Scan, planned: Raster, name: str, path: Path) -> None:
    """Write the script. planned: the heatmap's pixels; name: of the slide's files."""
    path.write_text(script(scan, planned, name), "ascii")


def script(scan: Scan, planned: Raster, name: str) -> str:
    """The script as ASCII text: the heatmap's region is written in, its path is looked for."""
    x, y = planned.pixel_px
    count = len(planned.channels)
    shown = "; ".join(f"{k} {each}" for k, each in enumerate(planned.channels[:-1]))
    values: dict[str, object] = {
        "@use": INTENDED_USE,
        # A line or a \\u of a name would end the comment.
        "@channels": " ".join(shown.split()).encode("ascii", "replace").decode().replace("\\", "/"),
        "@name": quoted(f"{name}.heatmap.ome.tif"),
        "@folder": quoted(name),
        "@count": count,
        "@last": count - 1,
        "@none": NO_PATCH,
        "@stops": [list(rgb(color)) for color in PROBABILITY_COLORS],
        "@x": -scan.slide.bounds.x,
        "@y": -scan.slide.bounds.y,
        "@width": max(1, round(planned.width * x)),
        "@height": max(1, round(planned.height * y)),
    }
    pieces = _SCRIPT.split("@")
    out = [pieces[0]]
    for piece in pieces[1:]:
        key = max((k for k in values if ("@" + piece).startswith(k)), key=len)
        out.append(str(values[key]) + ("@" + piece).removeprefix(key))
    return "".join(out)


def quoted(text: str) -> str:
    r"""A text as Groovy has it, in ASCII.

    >>> print(quoted("it's $5"), quoted("a" + chr(0xE9)))
    'it\'s $5' 'a\u00e9'
    """
    # What has a name of its own is not written by number: some versions of Groovy put the letter of
    # a number in place before they look for the end of the text.
    named = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    # Java's letters are UTF-16.
    units = text.encode("utf-16-be", "surrogatepass")
    letters = [int.from_bytes(units[k : k + 2]) for k in range(0, len(units), 2)]
    out = [named.get(chr(c)) or (chr(c) if 32 <= c < 127 else f"\\u{c:04x}") for c in letters]
    return "'" + "".join(out) + "'"
