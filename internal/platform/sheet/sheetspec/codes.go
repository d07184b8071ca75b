// Package sheetspec reads back what was printed, as a scanner, a label printer and a viewer do,
// so that specs look at paper and not at how it was drawn.
package sheetspec

import (
	"fmt"
	"image"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/oned"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// Code128 scans the barcode in a picture.
func Code128(picture image.Image) (string, error) {
	return scan(oned.NewCode128Reader(), picture, gozxing.DecodeHintType_TRY_HARDER)
}

// QR scans the QR code in a picture. The scanner takes some patterns of data for finders; then
// it is told that the picture is nothing but the code.
func QR(picture image.Image) (string, error) {
	text, err := scan(qrcode.NewQRCodeReader(), picture, gozxing.DecodeHintType_TRY_HARDER)
	if err != nil {
		return scan(qrcode.NewQRCodeReader(), picture, gozxing.DecodeHintType_PURE_BARCODE)
	}
	return text, nil
}

func scan(reader gozxing.Reader, picture image.Image, hint gozxing.DecodeHintType) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return "", fmt.Errorf("look at the picture: %w", err)
	}
	result, err := reader.Decode(bitmap, map[gozxing.DecodeHintType]any{hint: true})
	if err != nil {
		return "", fmt.Errorf("scan: %w", err)
	}
	return result.GetText(), nil
}
