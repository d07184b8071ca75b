package mask_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/mask"
)

func TestMask(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "mask")
}

var _ = DescribeTable("an e-mail address is shown as", func(address, shown string) {
	Expect(mask.Email(address)).To(Equal(shown))
},
	Entry(nil, "anna@example.com", "a***@e***.com"),
	Entry(nil, "a@b.co.uk", "a***@b***.uk"),
	Entry(nil, "élise@münchen.de", "é***@m***.de"),
	Entry(nil, `"odd@one"@example.com`, `"***@e***.com`),
	Entry(nil, "anna@localhost", "a***@l***"),
	Entry(nil, "no address", "***"),
	Entry(nil, "", ""),
)

var _ = DescribeTable("a name is shown as", func(name, shown string) {
	Expect(mask.Name(name)).To(Equal(shown))
},
	Entry(nil, "Anna Lindqvist", "A. L."),
	Entry(nil, "  Jean-Luc  Ó Briain ", "J. L. Ó. B."),
	Entry(nil, "李雷", "李."),
	Entry(nil, "", ""),
)
