// SPDX-License-Identifier: BSD-3-Clause
// The primitives against published vectors: BLAKE2s (RFC 7693), HMAC and KDF, X25519 (RFC 7748), ChaCha20-Poly1305
// (RFC 8439), XChaCha20-Poly1305; tables of our own here, and the whole reference files where they are there.
#include <jansson.h>

#include "lib/wg/crypto.h"
#include "lib/wg/test_util.h"

/* BLAKE2 known answers: input 00 01 02 … of a length, key 00 … 1f or none. */
static const struct {
	size_t len;
	bool keyed;
	const char *out;
} blake2s_kats[] = {
	{0, false, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9"},
	{1, false, "e34d74dbaf4ff4c6abd871cc220451d2ea2648846c7757fbaac82fe51ad64bea"},
	{31, false, "aba4ad9b480b9df3d08ca5e87b0c2440d4e4ea21224c2eb42cbae469d089b931"},
	{63, false, "e57cb79487dd57902432b250733813bd96a84efce59f650fac26e6696aefafc3"},
	{64, false, "56f34e8b96557e90c1f24b52d0c89d51086acf1b00f634cf1dde9233b8eaaa3e"},
	{65, false, "1b53ee94aaf34e4b159d48de352c7f0661d0a40edff95a0b1639b4090e974472"},
	{127, false, "f18417b39d617ab1c18fdf91ebd0fc6d5516bb34cf39364037bce81fa04cecb1"},
	{128, false, "1fa877de67259d19863a2a34bcc6962a2b25fcbf5cbecd7ede8f1fa36688a796"},
	{129, false, "5bd169e67c82c2c2e98ef7008bdf261f2ddf30b1c00f9e7f275bb3e8a28dc9a2"},
	{255, false, "f03f5789d3336b80d002d59fdf918bdb775b00956ed5528e86aa994acb38fe2d"},
	{0, true, "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49"},
	{1, true, "40d15fee7c328830166ac3f918650f807e7e01e177258cdc0a39b11f598066f1"},
	{31, true, "b6156f72d380ee9ea6acd190464f2307a5c179ef01fd71f99f2d0f7a57360aea"},
	{63, true, "c65382513f07460da39833cb666c5ed82e61b9e998f4b0c4287cee56c3cc9bcd"},
	{64, true, "8975b0577fd35566d750b362b0897a26c399136df07bababbde6203ff2954ed4"},
	{65, true, "21fe0ceb0052be7fb0f004187cacd7de67fa6eb0938d927677f2398c132317a8"},
	{127, true, "ddbfea75cc467882eb3483ce5e2e756a4f4701b76b445519e89f22d60fa86e06"},
	{128, true, "0c311f38c35a4fb90d651c289d486856cd1413df9b0677f53ece2cd9e477c60a"},
	{129, true, "46a73a8dd3e70f59d3942c01df599def783c9da82fd83222cd662b53dce7dbdf"},
	{255, true, "3fb735061abc519dfe979e54c1ee5bfad0a9d858b3315bad34bde999efd724dd"},
};

/* Keyed BLAKE2s-128 as MAC1 and MAC2 use it: key and input 00 01 02 …, computed by another implementation. */
static const struct {
	size_t key_len, len;
	const char *out;
} macs[] = {
	{32, 0, "9536f9b267655743dee97b8a670f9f53"},
	{32, 116, "072e94ffbfc684bd8ab2a1b9dade2fd5"},
	{16, 132, "b03d1196bdcfaad40f911db86b79ac7e"},
	{16, 64, "dd55c51c98f8ab96ed272882941f0b6a"},
	{32, 60, "02a28f10e193b430df7112d2d98cf759"},
	{1, 1, "80b5875420d43af8816136f8a9ad90ce"},
};

static const struct {
	const char *key, *input, *out[3];
} kdfs[] = {
	{"746573742d6b6579", "746573742d696e707574",
	 {"6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
	  "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
	  "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24"}},
	{"776972656775617264", "776972656775617264",
	 {"491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
	  "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
	  "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160"}},
	{"", "",
	 {"8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
	  "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
	  "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e"}},
};

/* Wycheproof x25519, two of each kind: private, public, shared. A zero shared secret must be refused. */
static const struct {
	const char *private_key, *public_key, *shared;
} dhs[] = {
	/* 1: normal case (valid) */
	{"c8a9d5a91091ad851c668b0736c1c9a02936c0d3ad62670858088047ba057475",
	 "504a36999f489cd2fdbc08baff3d88fa00569ba986cba22548ffde80f9806829",
	 "436a2c040cf45fea9b29a0cb81b1f41458f863d0d61b453d0a982720d6d61320"},
	/* 2: public key on twist (acceptable) */
	{"d85d8c061a50804ac488ad774ac716c3f5ba714b2712e048491379a500211958",
	 "63aa40c6e38346c5caf23a6df0a5e6c80889a08647e551b3563449befcfc9733",
	 "279df67a7c4611db4708a0e8282b195e5ac0ed6f4b2f292c6fbd0acac30d1332"},
	/* 3: public key on twist (acceptable) */
	{"c8b45bfd32e55325d9fd648cb302848039000b390e44d521e58aab3b29a6964b",
	 "0f83c36fded9d32fadf4efa3ae93a90bb5cfa66893bc412c43fa7287dbb99779",
	 "4bc7e01e7d83d6cf67632bf90033487a5fc29eba5328890ea7b1026d23b9a45f"},
	/* 7: public key on twist (acceptable) */
	{"d03edde9f3e7b799045f9ac3793d4a9277dadeadc41bec0290f81f744f73775f",
	 "0200000000000000000000000000000000000000000000000000000000000000",
	 "b87a1722cc6c1e2feecb54e97abd5a22acc27616f78f6e315fd2b73d9f221e57"},
	/* 8: public key on twist (acceptable) */
	{"e09d57a914e3c29036fd9a442ba526b5cdcdf28216153e636c10677acab6bd6a",
	 "0300000000000000000000000000000000000000000000000000000000000000",
	 "a29d8dad28d590cd3017aa97a4761f851bf1d3672b042a4256a45881e2ad9035"},
	/* 32: public key = 0 (acceptable) */
	{"88227494038f2bb811d47805bcdf04a2ac585ada7f2f23389bfd4658f9ddd45e",
	 "0000000000000000000000000000000000000000000000000000000000000000",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 33: public key = 1 (acceptable) */
	{"48232e8972b61c7e61930eb9450b5070eae1c670475685541f0476217e48184f",
	 "0100000000000000000000000000000000000000000000000000000000000000",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 34: edge case public key (valid) */
	{"a8386f7f16c50731d64f82e6a170b142a4e34f31fd7768fcb8902925e7d1e25a",
	 "0400000000000000000000000000000000000000000000000000000000000000",
	 "34b7e4fa53264420d9f943d15513902342b386b172a0b0b7c8b8f2dd3d669f59"},
	/* 35: edge case public key (valid) */
	{"d05abd08bf5e62538cb9a5ed105dbedd6de38d07940085072b4311c2678ed77d",
	 "0001000000000000000000000000000000000000000000000000000000000000",
	 "3aa227a30781ed746bd4b3365e5f61461b844d09410c70570abd0d75574dfc77"},
	/* 63: public key with low order (acceptable) */
	{"e0f978dfcd3a8f1a5093418de54136a584c20b7b349afdf6c0520886f95b1272",
	 "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 64: public key with low order (acceptable) */
	{"387355d995616090503aafad49da01fb3dc3eda962704eaee6b86f9e20c92579",
	 "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 65: public key with low order (acceptable) */
	{"c8fe0df92ae68a03023fc0c9adb9557d31be7feed0d3ab36c558143daf4dbb40",
	 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 66: public key with low order (acceptable) */
	{"c8d74acde5934e64b9895d5ff7afbffd7f704f7dfccff7ac28fa62a1e6410347",
	 "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 67: public key with low order (acceptable) */
	{"b85649d5120e01e8ccaf7b2fb8d81b62e8ad6f3d5c0553fdde1906cb9d79c050",
	 "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 68: public key with low order (acceptable) */
	{"2064b2f4c9dc97ec7cf58932fdfa3265ba6ea4d11f0259b8efc8afb35db88c48",
	 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 69: public key with low order (acceptable) */
	{"786a33a4f7af297a20e7642925932bf509e7070fa1bc36986af1eb13f4f50b55",
	 "0000000000000000000000000000000000000000000000000000000000000000",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 70: public key with low order (acceptable) */
	{"786a33a4f7af297a20e7642925932bf509e7070fa1bc36986af1eb13f4f50b55",
	 "0100000000000000000000000000000000000000000000000000000000000000",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 71: public key with low order (acceptable) */
	{"786a33a4f7af297a20e7642925932bf509e7070fa1bc36986af1eb13f4f50b55",
	 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 78: public key with low order (acceptable) */
	{"786a33a4f7af297a20e7642925932bf509e7070fa1bc36986af1eb13f4f50b55",
	 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 84: public key == 0 (acceptable) */
	{"7887889bac4c629a101d3724f2ed8b98d936fde79e1a1f77d86779626bf8f263",
	 "0000000000000000000000000000000000000000000000000000000000000080",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 85: public key == 1 (acceptable) */
	{"584fceaebae944bfe93b2e0d0a575f706ce5ada1da2b1311c3b421f9186c7a6f",
	 "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 87: non-canonical public key (acceptable) */
	{"0016b62af5cabde8c40938ebf2108e05d27fa0533ed85d70015ad4ad39762d54",
	 "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "b4d10e832714972f96bd3382e4d082a21a8333a16315b3ffb536061d2482360d"},
	/* 88: non-canonical public key (acceptable) */
	{"d83650ba7cec115881916255e3fa5fa0d6b8dcf968731bd2c9d2aec3f561f649",
	 "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "515eac8f1ed0b00c70762322c3ef86716cd2c51fe77cec3d31b6388bc6eea336"},
	/* 89: non-canonical public key (acceptable) */
	{"88dd14e2711ebd0b0026c651264ca965e7e3da5082789fbab7e24425e7b4377e",
	 "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "6919992d6a591e77b3f2bacbd74caf3aea4be4802b18b2bc07eb09ade3ad6662"},
	/* 90: non-canonical public key (acceptable) */
	{"98c2b08cbac14e15953154e3b558d42bb1268a365b0ef2f22725129d8ac5cb7f",
	 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "9c034fcd8d3bf69964958c0105161fcb5d1ea5b8f8abb371491e42a7684c2322"},
	/* 95: non-canonical public key (acceptable) */
	{"c8e0330ae9dceeff887fba761225879a4bd2e0db08799244136e4721b2c88970",
	 "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 "dfe60831c9f4f96c816e51048804dbdc27795d760eced75ef575cbe3b464054b"},
	/* 97: non-canonical public key (acceptable) */
	{"9041c6e044a277df8466275ca8b5ee0da7bc028648054ade5c592add3057474e",
	 "eaffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	 "13da5695a4c206115409b5277a934782fe985fa050bc902cba5616f9156fe277"},
	/* 100: RFC 7748 (valid) */
	{"a046e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449a44",
	 "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
	 "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
	/* 101: RFC 7748 (acceptable) */
	{"4866e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba4d",
	 "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a413",
	 "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	/* 102: RFC 8037, Section A.6 (valid) */
	{"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
	 "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
	 "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
	/* 103: edge case for shared secret (acceptable) */
	{"60a3a4f130b98a5be4b1cedb7cb85584a3520e142d474dc9ccb909a073a9767f",
	 "b7b6d39c765cb60c0c8542f4f3952ffb51d3002d4aeb9f8ff988b192043e6d0a",
	 "0200000000000000000000000000000000000000000000000000000000000000"},
	/* 104: edge case for shared secret (valid) */
	{"60a3a4f130b98a5be4b1cedb7cb85584a3520e142d474dc9ccb909a073a9767f",
	 "3b18df1e50b899ebd588c3161cbd3bf98ebcc2c1f7df53b811bd0e91b4d5153d",
	 "0900000000000000000000000000000000000000000000000000000000000000"},
	/* 105: edge case for shared secret (valid) */
	{"60a3a4f130b98a5be4b1cedb7cb85584a3520e142d474dc9ccb909a073a9767f",
	 "cab6f9e7d8ce00dfcea9bbd8f069ef7fb2ac504abf83b87db601b5ae0a7f7615",
	 "1000000000000000000000000000000000000000000000000000000000000000"},
	/* 106: edge case for shared secret (acceptable) */
	{"60a3a4f130b98a5be4b1cedb7cb85584a3520e142d474dc9ccb909a073a9767f",
	 "4977d0d897e1ba566590f60f2eb0db6f7b24c13d436918ccfd32708dfad7e247",
	 "feffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff3f"},
	/* 117: special case public key (acceptable) */
	{"c8d07c46bbfb827753b92c70e49583ce8bfa44641a7382258ea903d6a832c96b",
	 "0000000000000000000000000000000000000000000000000000000000000000",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 118: special case public key (acceptable) */
	{"90b7ef237a055f348dcb4c4364a59d7d31edc7ab78f2ca254e2c810975c3f543",
	 "0100000000000000000000000000000000000000000000000000000000000000",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 119: special case public key (acceptable) */
	{"e0a8be63315c4f0f0a3fee607f44d30a55be63f09561d9af93e0a1c9cf0ed751",
	 "0200000000000000000000000000000000000000000000000000000000000000",
	 "0c50ac2bfb6815b47d0734c5981379882a24a2de6166853c735329d978baee4d"},
	/* 120: special case public key (valid) */
	{"0840a8af5bc4c48da8850e973d7e14220f45c192cea4020d377eecd25c7c3643",
	 "1200000000000000000000000000000000000000000000000000000000000000",
	 "77557137a2a2a651c49627a9b239ac1f2bf78b8a3e72168ccecc10a51fc5ae66"},
	/* 121: special case public key (acceptable) */
	{"0092229c753a71284d0853909470ad847ab62f439ea51482fb41d30cc3b44743",
	 "1400000000000000000000000000000000000000000000000000000000000000",
	 "c88e719ae5c2248b5f90da346a92ae214f44a5d129fd4e9c26cf6a0da1efe077"},
	/* 122: special case public key (valid) */
	{"b8da2bd2d7cf25a3e54e5f87ee15911effb9ff86baec4076d56c8e953670bf5b",
	 "0000000000000000000000000080000000000000000000000000000000000000",
	 "4bf6789c7ea036f973cde0af02d6fdb9b64a0b957022111439570fad7d7a453f"},
	/* 154: special case public key (acceptable) */
	{"18630f93598637c35da623a74559cf944374a559114c7937811041fc8605564a",
	 "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 165: D = 0 in multiplication by 2 (acceptable) */
	{"5891c9272cf9a197735b701e5715268d36d7436b7e351a3e997a0862e4807d4d",
	 "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 166: D = 0 in multiplication by 2 (acceptable) */
	{"c0f9c60aea73731d92ab5ed9f4cea122f9a6eb2577bda72f94948fea4d4cc65d",
	 "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	 "0000000000000000000000000000000000000000000000000000000000000000"},
	/* 511: private key == -1 (mod order) (valid) */
	{"a023cdd083ef5bb82f10d62e59e15a6800000000000000000000000000000050",
	 "6c05871352a451dbe182ed5e6ba554f2034456ffe041a054ff9cc56b8e946376",
	 "6c05871352a451dbe182ed5e6ba554f2034456ffe041a054ff9cc56b8e946376"},
	/* 513: special case private key (valid) */
	{"4855555555555555555555555555555555555555555555555555555555555555",
	 "3e3e7708ef72a6dd78d858025089765b1c30a19715ac19e8d917067d208e0666",
	 "63ef7d1c586476ec78bb7f747e321e01102166bf967a9ea9ba9741f49d439510"},
};

struct aead_vector {
	const char *key, *nonce, *ad, *text, *sealed, *tag;
	bool valid;
};

/* Wycheproof, the RFC's own vector first, then one or more of each kind. */
static const struct aead_vector aeads[] = {
	/* 1: RFC 7539 */
	{"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
	 "50515253c0c1c2c3c4c5c6c7", "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20"
	 "4966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f722074686520"
	 "6675747572652c2073756e73637265656e20776f756c642062652069742e",
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fa"
	 "fb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4"
	 "fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
	 "1ae10b594f09e26a7e902ecbd0600691", true},
	/* 2: Pseudorandom */
	{"80ba3192c803ce965ea371d5ff073cf0f43b6a2ab576b208426e11409c09b9b0", "4da5bf8dfd5852c1ea12379d",
	 "", "",
	 "",
	 "76acb342cf3166a5b63c0c0ea1383c8d", true},
	/* 3: Pseudorandom */
	{"7a4cd759172e02eb204db2c3f5c746227df584fc1345196391dbb9577a250742", "a92ef0ac991dd516a3c6f689",
	 "bd506764f2d2c410", "",
	 "",
	 "906fa6284b52f87b7359cbaa7563c709", true},
	/* 122: EdgeCaseCiphertext */
	{"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "000102030405060708090a0b",
	 "00000000000000000000000000000000", "65b63bf074b7283992e24b1ac0df0d22b555dbe2254d94a43f1de748d3cc6f0d",
	 "0000000000000000000000000000000000000000000000000000000000000000",
	 "39f4fce3026d83789ffd1ee6f2cd7c4f", true},
	/* 146: Flipped bit 0 in tag expected tag:f4409bb729039d0814ac514054323f44 */
	{"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f", "000102030405060708090a0b",
	 "000102", "",
	 "",
	 "f5409bb729039d0814ac514054323f44", false},
	/* 226: edge case for tag */
	{"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f", "000102030405060708090a0b",
	 "ffffffffffffffffffffffffffffffff415771fda4fbcc55c377f73203e60226", "e48caf8a76183327c9561a4651c07c822ccd1642c06607d0d4bc0afb4de15915dbfa3b0b422e77e15c64"
	 "bf6247031f15fdb643117809821870000adf83834da5",
	 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	 "ffffffffffffffffffffffffffffffffffffffffffff",
	 "000102030405060708090a0b0c0d0e0f", true},
	/* 244: Intermediate sum of poly1305 after processing64 bytes is 0xffffffff. */
	{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "000102030405060710abb165",
	 "ffffffff", "f59d56151de28bef83505f6d89c0b0f7f75b2fa8e6dce386075db283ec85ee62555baffad423af25f660"
	 "69bb69fb6f4d",
	 "d6ee4ee25d3bdea81e76de8934cc51fb849cfca7685708575dc6df7a01e36a81849cfca7685708575dc6"
	 "df7a01e36a81",
	 "831312cbb0f165dc3e8ff52125f48640", true},
};

static const struct aead_vector xaeads[] = {
	/* 1: draft-arciszewski-xchacha-02 */
	{"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "404142434445464748494a4b4c4d4e4f5051525354555657",
	 "50515253c0c1c2c3c4c5c6c7", "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20"
	 "4966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f722074686520"
	 "6675747572652c2073756e73637265656e20776f756c642062652069742e",
	 "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3"
	 "a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2b"
	 "c369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e",
	 "c0875924c1c7987947deafd8780acf49", true},
	/* 2: Pseudorandom */
	{"ab1562faea9f47af3ae1c3d6d030e3af230255dff3df583ced6fbbcbf9d606a9", "6a5e0c4617e07091b605a4de2c02dde117de2ebd53b23497",
	 "", "",
	 "",
	 "e2697ea6877aba39d9555a00e14db041", true},
	/* 3: Pseudorandom */
	{"d821dce9b890ea37ae1c89e7cb6aeae9371b8179add0d08f5494718322ae0071", "3ec3f7c45e687d75a895bf5e71809e7cdac32158bb48ec0d",
	 "8780fb400f94c55d", "",
	 "",
	 "966c22d655b9e56326024f028cf887ad", true},
	/* 122: EdgeCaseCiphertext */
	{"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "000102030405060708090a0b0c0d0e0f1011121314151617",
	 "00000000000000000000000000000000", "60e28a8f89adf230daab792c94dfebe766eda542d7c092d97ccb7501486fc6a3",
	 "0000000000000000000000000000000000000000000000000000000000000000",
	 "52ca5edfb3c4fca83d5776154188a08d", true},
	/* 146: Flipped bit 0 in tag expected tag:0518b3e73e52c3be2eaba76807b784e1 */
	{"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f", "000102030405060708090a0b0c0d0e0f1011121314151617",
	 "000102", "",
	 "",
	 "0418b3e73e52c3be2eaba76807b784e1", false},
	/* 216: edge case for tag */
	{"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f", "000102030405060708090a0b0c0d0e0f1011121314151617",
	 "abffffffffffffffffffffffffffffff5a20e89e14ed5af85da66b5e4bdbe002", "660336ffb732a4dcda556c2539d3d2de6cdaed0d7d9104593f8ed69bf0db8aa33c0e746482b7dc53d40b"
	 "8a5331ca33b874639cdc7a787badd436bcd56e798af3",
	 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	 "ffffffffffffffffffffffffffffffffffffffffffff",
	 "000102030405060708090a0b0c0d0e0f", true},
	/* 227: edge case intermediate sums in poly1305 */
	{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "000102030405060708090a0b0c0d0e0f101112130bc672c3",
	 "ffffffff", "20757c7a2bc935a528bca12f511c9de4912872920d5254968fc6c13fc3322ab71d9d6963d744039c9dd8"
	 "f076ee9f54a240f27ac535c5bc6e82d14d0968cc8366",
	 "ffffffffffffffffffffffffffffffff509feba9f484d93396ea4f24e460efc72650eab35acbfb4a6622"
	 "afe2222608d82650eab35acbfb4a6622afe2222608d8",
	 "e427fb2cdcadf4503623265e1232b761", true},
};

static void fill_sequence(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)i;
}

static void test_blake2s(void **state)
{
	uint8_t in[256], key[32], expected[32], got[32];

	(void)state;
	fill_sequence(in, sizeof(in));
	fill_sequence(key, sizeof(key));
	for (unsigned i = 0; i < sizeof(blake2s_kats) / sizeof(blake2s_kats[0]); i++) {
		size_t len = blake2s_kats[i].len;

		unhex(expected, sizeof(expected), blake2s_kats[i].out);
		wg_blake2s(got, 32, key, blake2s_kats[i].keyed ? 32 : 0, in, len);
		assert_memory_equal(got, expected, 32);
		if (blake2s_kats[i].keyed)
			continue;
		/* The same in two pieces, and over its own input. */
		wg_hash2(got, in, len / 3, in + len / 3, len - len / 3);
		assert_memory_equal(got, expected, 32);
	}
	for (unsigned i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
		unhex(expected, sizeof(expected), macs[i].out);
		wg_mac(got, key, macs[i].key_len, in, macs[i].len);
		assert_memory_equal(got, expected, WG_MAC_BYTES);
	}
	/* RFC 7693, appendix B. */
	unhex(expected, 32, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
	wg_hash2(got, "abc", 3, NULL, 0);
	assert_memory_equal(got, expected, 32);
}

static void test_kdf(void **state)
{
	uint8_t key[32], input[32], expected[32], got[3][32];

	(void)state;
	for (unsigned i = 0; i < sizeof(kdfs) / sizeof(kdfs[0]); i++) {
		size_t len = unhex(input, sizeof(input), kdfs[i].input);

		/* HMAC pads a short key with zeroes, and so does this. */
		memset(key, 0, sizeof(key));
		unhex(key, sizeof(key), kdfs[i].key);
		for (unsigned n = 1; n <= 3; n++) {
			memset(got, 0, sizeof(got));
			wg_kdf(got[0], n > 1 ? got[1] : NULL, n > 2 ? got[2] : NULL, key, input, len);
			for (unsigned k = 0; k < n; k++) {
				unhex(expected, sizeof(expected), kdfs[i].out[k]);
				assert_memory_equal(got[k], expected, 32);
			}
		}
		/* In place, as the handshake does it. */
		wg_kdf(key, got[1], NULL, key, input, len);
		unhex(expected, sizeof(expected), kdfs[i].out[0]);
		assert_memory_equal(key, expected, 32);
	}
}

static void check_dh(const char *private_hex, const char *public_hex, const char *shared_hex)
{
	uint8_t private_key[32], public_key[32], shared[32], got[32];
	bool zero;

	unhex(private_key, 32, private_hex);
	unhex(public_key, 32, public_hex);
	unhex(shared, 32, shared_hex);
	zero = sodium_is_zero(shared, 32);
	memset(got, 0xff, sizeof(got));
	assert_int_equal(wg_dh(got, private_key, public_key), !zero);
	assert_memory_equal(got, shared, 32);
}

static void test_x25519(void **state)
{
	uint8_t key[32] = {0xff}, public_key[32], expected[32];

	(void)state;
	for (unsigned i = 0; i < sizeof(dhs) / sizeof(dhs[0]); i++)
		check_dh(dhs[i].private_key, dhs[i].public_key, dhs[i].shared);
	/* RFC 7748, 6.1: Alice. */
	unhex(key, 32, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	wg_public_key(public_key, key);
	unhex(expected, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_memory_equal(public_key, expected, 32);
	memset(key, 0xff, sizeof(key));
	wg_clamp(key);
	assert_int_equal(key[0], 0xf8);
	assert_int_equal(key[31], 0x7f);
}

/* Runs one vector through seal and open; only those with our nonce form go through the counter interface. */
static void check_aead(const struct aead_vector *v, bool extended)
{
	uint8_t key[32], nonce[24], ad[1024], text[1024], sealed[1040], got[1040];
	size_t nonce_len = unhex(nonce, sizeof(nonce), v->nonce);
	size_t ad_len = unhex(ad, sizeof(ad), v->ad), len = unhex(text, sizeof(text), v->text);
	bool opened;

	unhex(key, sizeof(key), v->key);
	assert_int_equal(unhex(sealed, sizeof(sealed), v->sealed), len);
	unhex(sealed + len, 16, v->tag);
	assert_int_equal(nonce_len, extended ? 24 : 12);
	if (extended) {
		wg_xaead_seal(got, key, nonce, text, len, ad, ad_len);
	} else {
		wg_aead_seal_nonce(got, key, nonce, text, len, ad, ad_len);
	}
	assert_int_equal(memcmp(got, sealed, len + 16) == 0, v->valid);
	memset(got, 0xee, sizeof(got));
	opened = extended ? wg_xaead_open(got, key, nonce, sealed, len, ad, ad_len) :
			    wg_aead_open_nonce(got, key, nonce, sealed, len, ad, ad_len);
	assert_int_equal(opened, v->valid);
	if (opened)
		assert_memory_equal(got, text, len);
	else
		assert_true(sodium_is_zero(got, len));
}

static void test_aead(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(aeads) / sizeof(aeads[0]); i++)
		check_aead(&aeads[i], false);
	for (unsigned i = 0; i < sizeof(xaeads) / sizeof(xaeads[0]); i++)
		check_aead(&xaeads[i], true);
}

/* The counter is the last eight bytes of the nonce, little-endian. */
static void test_counter_nonce(void **state)
{
	uint8_t key[32] = {1}, nonce[12] = {0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1}, a[32], b[32];

	(void)state;
	wg_aead_seal(a, key, UINT64_C(0x0102030405060708), "sixteen bytes...", 16, "ad", 2);
	wg_aead_seal_nonce(b, key, nonce, "sixteen bytes...", 16, "ad", 2);
	assert_memory_equal(a, b, 32);
	assert_true(wg_aead_open(a, key, UINT64_C(0x0102030405060708), a, 16, "ad", 2));
	assert_memory_equal(a, "sixteen bytes...", 16);
	assert_false(wg_aead_open(b, key, UINT64_C(0x0102030405060709), b, 16, "ad", 2));
	assert_true(sodium_is_zero(b, 16));
}

static json_t *load_or_skip(const char *name)
{
	const char *path = test_data(name);
	json_t *root = path ? json_load_file(path, 0, NULL) : NULL;

	if (!root) {
		print_message("skipped: no reference data\n");
		skip();
	}
	return root;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void check_wycheproof_aead(const char *name, bool extended, unsigned at_least)
{
	json_t *root = load_or_skip(name), *group, *test;
	unsigned checked = 0;
	size_t i, k;

	json_array_foreach (json_object_get(root, "testGroups"), i, group) {
		if (json_integer_value(json_object_get(group, "ivSize")) != (extended ? 192 : 96))
			continue;
		json_array_foreach (json_object_get(group, "tests"), k, test) {
			struct aead_vector v = {
				text_of(test, "key"), text_of(test, "iv"), text_of(test, "aad"),
				text_of(test, "msg"), text_of(test, "ct"), text_of(test, "tag"),
				strcmp(text_of(test, "result"), "valid") == 0};

			check_aead(&v, extended);
			checked++;
		}
	}
	json_decref(root);
	assert_true(checked >= at_least);
}

static void test_all_aead(void **state)
{
	(void)state;
	check_wycheproof_aead("crypto/wycheproof_chacha20_poly1305_test.json", false, 200);
}

static void test_all_xaead(void **state)
{
	(void)state;
	check_wycheproof_aead("crypto/wycheproof_xchacha20_poly1305_test.json", true, 200);
}

static void test_all_x25519(void **state)
{
	json_t *root = load_or_skip("crypto/wycheproof_x25519_test.json"), *group, *test;
	unsigned checked = 0;
	size_t i, k;

	(void)state;
	json_array_foreach (json_object_get(root, "testGroups"), i, group)
		json_array_foreach (json_object_get(group, "tests"), k, test) {
			check_dh(text_of(test, "private"), text_of(test, "public"),
				 text_of(test, "shared"));
			checked++;
		}
	json_decref(root);
	assert_true(checked > 500);
}

static void test_all_blake2s(void **state)
{
	json_t *root = load_or_skip("crypto/blake2s-kat.json"), *kat;
	uint8_t in[256], key[32], expected[32], got[32];
	size_t i;

	(void)state;
	json_array_foreach (root, i, kat) {
		size_t len = unhex(in, sizeof(in), text_of(kat, "in"));
		size_t key_len = unhex(key, sizeof(key), text_of(kat, "key"));

		unhex(expected, sizeof(expected), text_of(kat, "out"));
		wg_blake2s(got, 32, key, key_len, in, len);
		assert_memory_equal(got, expected, 32);
	}
	assert_true(json_array_size(root) >= 512);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blake2s),	      cmocka_unit_test(test_kdf),
		cmocka_unit_test(test_x25519),	      cmocka_unit_test(test_aead),
		cmocka_unit_test(test_counter_nonce), cmocka_unit_test(test_all_aead),
		cmocka_unit_test(test_all_xaead),     cmocka_unit_test(test_all_x25519),
		cmocka_unit_test(test_all_blake2s),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
