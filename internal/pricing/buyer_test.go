package pricing

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = DescribeTable("uses under an address are counted with those under", func(other string, same bool) {
	if same {
		Expect(emailKey(other)).To(Equal(emailKey("vera@example.com")))
	} else {
		Expect(emailKey(other)).NotTo(Equal(emailKey("vera@example.com")))
	}
},
	Entry("itself in capitals", " Vera@Example.COM ", true),
	Entry("itself with a tag", "vera+1@example.com", true),
	Entry("itself with several", "vera+a+b@example.com", true),
	Entry("itself in quotation marks", `"vera"@example.com`, true),
	Entry("itself in quotation marks, with what they do not need", `"v\era+2"@example.com`, true),
	Entry("itself in full-width letters", "ｖｅｒａ＠ｅｘａｍｐｌｅ．ｃｏｍ", true),
	Entry("itself with a name", "Vera <vera@example.com>", true),
	Entry("another name", "vera1@example.com", false),
	Entry("another shop's", "vera@example.org", false),
	Entry("a name that is all tag", "+vera@example.com", false),
)
