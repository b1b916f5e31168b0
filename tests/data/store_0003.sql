BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE audit_event (
	sequence INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	study_key TEXT, 
	detail TEXT NOT NULL, 
	prev_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, signature TEXT, 
	CONSTRAINT pk_audit_event PRIMARY KEY (sequence), 
	CONSTRAINT ck_audit_event_hashes CHECK (length(prev_hash) = 64 AND length(hash) = 64), 
	CONSTRAINT ck_audit_event_sequence CHECK (sequence >= 1), 
	CONSTRAINT uq_audit_event_hash UNIQUE (hash), 
	CONSTRAINT uq_audit_event_prev_hash UNIQUE (prev_hash)
)
 STRICT

;
INSERT INTO "audit_event" VALUES(1,'2026-11-26T12:57:22.296788+00:00','operator','person.create',NULL,'{"is_simulated":false,"login":"ann","role":"reader"}','0000000000000000000000000000000000000000000000000000000000000000','2b096cc420519e1ac8e682e18c7f4c45e8851ca4a681e34738b8a8f71c6b92d0',NULL);
INSERT INTO "audit_event" VALUES(2,'2026-11-26T12:57:22.329252+00:00','operator','model.register',NULL,'{"architecture":"small","name":"net","sha256":"abababababababababababababababababababababababababababababababab"}','2b096cc420519e1ac8e682e18c7f4c45e8851ca4a681e34738b8a8f71c6b92d0','91862bed3ccf68ceb20bff6afdfb92924dbbd7dde31c7749af03931f6759d23c',NULL);
INSERT INTO "audit_event" VALUES(3,'2026-11-26T12:57:22.340879+00:00','operator','study.create','reading','{"is_synthetic":false,"protocol":{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Reading"}}','91862bed3ccf68ceb20bff6afdfb92924dbbd7dde31c7749af03931f6759d23c','3b64721492e1b43b3860d60b0dd900d281d3e00a85e4457b3663708d8015b17c',NULL);
INSERT INTO "audit_event" VALUES(4,'2026-11-26T12:57:22.689038+00:00','operator','study.import','reading','{"cases_per_cohort":{"internal":5},"image_notes":[],"n_cases":5,"n_excluded":0,"warnings":[]}','3b64721492e1b43b3860d60b0dd900d281d3e00a85e4457b3663708d8015b17c','4f4dfcd5a855126db764c0b9379be2962f4c525f770a1810798b92a38491d4f8',NULL);
INSERT INTO "audit_event" VALUES(5,'2026-11-26T12:57:22.708085+00:00','operator','model.predict','reading','{"model_sha256":"abababababababababababababababababababababababababababababababab","seal":{"columns":"prediction.model_sha256 prediction.case_id prediction.probabilities prediction.class_maps prediction.class_maps_shape prediction.entropy prediction.is_out_of_distribution prediction.device prediction.precision prediction.created_at prediction.event_sequence","n":5,"sha256":"aefcc412dadf71a590cb8bcdc4b583fd582622410d64798aa508ca72d84d57c4"}}','4f4dfcd5a855126db764c0b9379be2962f4c525f770a1810798b92a38491d4f8','4c4994351a02e195343223fa4b33f68e526602e39edc5e7381c1dda76bf22476',NULL);
INSERT INTO "audit_event" VALUES(6,'2026-11-26T12:57:22.748202+00:00','operator','study.reader','reading','{"arms":["unaided"],"cohorts":["internal"],"login":"ann","n_presentations":5,"order":{"columns":"study_member.study_id study_member.person_id study_member.cohorts study_member.arms study_member.order_seed study_member.order_algorithm study_member.added_at presentation.presentation_id presentation.study_id presentation.person_id presentation.case_id presentation.arm presentation.repeat presentation.position person.login person.is_simulated person.years_of_experience","n":5,"sha256":"88b9181e87fb9a04de133e474c935c5d1795892a48533294a5d9bf0b67a3534c"},"order_algorithm":"pcg64-sha256-v2","order_seed":20230601}','4c4994351a02e195343223fa4b33f68e526602e39edc5e7381c1dda76bf22476','d1e1f8e6f240530d8e58a41c81fe5b5344c4be57d9f8111663f796fbb0302f31',NULL);
INSERT INTO "audit_event" VALUES(7,'2026-11-26T12:57:22.770448+00:00','operator','study.state','reading','{"from":"draft","orders":{"ann":{"columns":"study_member.study_id study_member.person_id study_member.cohorts study_member.arms study_member.order_seed study_member.order_algorithm study_member.added_at presentation.presentation_id presentation.study_id presentation.person_id presentation.case_id presentation.arm presentation.repeat presentation.position person.login person.is_simulated person.years_of_experience","n":5,"sha256":"88b9181e87fb9a04de133e474c935c5d1795892a48533294a5d9bf0b67a3534c"}},"sealed":{"cases":{"columns":"study_case.case_id study_case.study_id study_case.cohort_id study_case.patient_id study_case.case_key study_case.centre study_case.scanner study_case.age_years study_case.sex study_case.exclusion_reason study_case.source_name patient.patient_id patient.study_id patient.cohort_id patient.patient_key cohort.cohort_id cohort.study_id cohort.name","n":5,"sha256":"d28a38f1a22095259f28791a2cb25025e7029a90eddaa3b07f9cd19285d1f190"},"declared model":{"columns":"model_version.sha256 model_version.name model_version.architecture model_version.path model_version.metadata model_version.registered_at","n":1,"sha256":"b64c2e2604bdeb938ab3e91c3fb398236a989f7eb8afa7678d4ec0f4925f8845"},"images":{"columns":"case_image.case_id case_image.view_number case_image.image_id case_image.pixel_spacing_mm case_image.file_format case_image.notes image.image_id image.content_sha256 image.height image.width image.bits image.png","n":5,"sha256":"b317b6a7eb8304ddb3d4f18fc66d66bac2ff90b5cc4d50d5debca2a8ed08825a"},"predictions":{"columns":"prediction.model_sha256 prediction.case_id prediction.probabilities prediction.class_maps prediction.class_maps_shape prediction.entropy prediction.is_out_of_distribution prediction.device prediction.precision prediction.created_at prediction.event_sequence","n":5,"sha256":"aefcc412dadf71a590cb8bcdc4b583fd582622410d64798aa508ca72d84d57c4"},"protocol":{"columns":"protocol_version.study_id protocol_version.version protocol_version.protocol protocol_version.created_at","n":1,"sha256":"0d12f1ee780f5a30b2103bddf199811678ec7ad18e19337e07e5048ee27a22a6"},"reference standard":{"columns":"reference_standard.case_id reference_standard.class_key reference_standard.lesion_mask_png","n":5,"sha256":"b045e2724a9e225197c3c6994450c027dcd9d2395ed22504d0937ea9d2cb920c"}},"to":"open"}','d1e1f8e6f240530d8e58a41c81fe5b5344c4be57d9f8111663f796fbb0302f31','653572f18047656abc7eebc867ff027086d52ba34ef7ca76038ae0d7352b4aac',NULL);
INSERT INTO "audit_event" VALUES(8,'2026-11-26T12:57:22.795202+00:00','ann','case.shown','reading','{"position":1}','653572f18047656abc7eebc867ff027086d52ba34ef7ca76038ae0d7352b4aac','156eb37f3fc9b1130026493aaf277f5c44c4e4f61a709762eadca21efbb099c6',NULL);
INSERT INTO "audit_event" VALUES(9,'2026-11-26T12:57:22.815096+00:00','ann','reading.save','reading','{"position":1,"reader":"ann","revision":1,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"e01021e3d26de48bd6173876b018adad8076f3541cc73ad3b2513fabee9e2f7f"}}','156eb37f3fc9b1130026493aaf277f5c44c4e4f61a709762eadca21efbb099c6','412f22eca09b3adb83f373a365e791e653d9101c9e4240ec2cdb1e79a6970d84',NULL);
INSERT INTO "audit_event" VALUES(10,'2026-11-26T12:57:22.823179+00:00','ann','case.shown','reading','{"position":2}','412f22eca09b3adb83f373a365e791e653d9101c9e4240ec2cdb1e79a6970d84','9b22ad3706137e466be92c0eeb177c493982eaf6c856747bc738318587433855',NULL);
INSERT INTO "audit_event" VALUES(11,'2026-11-26T12:57:22.835192+00:00','ann','reading.save','reading','{"position":2,"reader":"ann","revision":1,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"0aa1259b82922b4a5c1c60854dd4f327309c6d832bea5da2c6631ad6fd5c527e"}}','9b22ad3706137e466be92c0eeb177c493982eaf6c856747bc738318587433855','e91503d931d9282fdab01f9edeb1b70e6a5526056aebc69b97b38ace60d50d9d',NULL);
INSERT INTO "audit_event" VALUES(12,'2026-11-26T12:57:22.843277+00:00','ann','case.shown','reading','{"position":3}','e91503d931d9282fdab01f9edeb1b70e6a5526056aebc69b97b38ace60d50d9d','6e38b7923093ff8d462875c4f11fbbfe04b15db3d33cefb6db7d6f405120d1a9',NULL);
INSERT INTO "audit_event" VALUES(13,'2026-11-26T12:57:22.961620+00:00','ann','reading.save','reading','{"position":3,"reader":"ann","revision":1,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"8e9ba7b0daee7010fcb7f01ced8da4c17c2b8a962478247cb4e31d529c946961"}}','6e38b7923093ff8d462875c4f11fbbfe04b15db3d33cefb6db7d6f405120d1a9','b3abb651f9fba5692528a7312a9cb6b91cd7d97bae40eb3a280ab1cc3d8e302e',NULL);
INSERT INTO "audit_event" VALUES(14,'2026-11-26T12:57:22.987096+00:00','ann','reading.save','reading','{"position":3,"reader":"ann","revision":2,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"476f9b3157364dd7b14e0191033c07c547a64a1bf7af23407298751817997016"}}','b3abb651f9fba5692528a7312a9cb6b91cd7d97bae40eb3a280ab1cc3d8e302e','d41f6adebd4dc0a05086bab6cdcca57c4e02ef0c7840aefc6fcf5ce70a34e9df',NULL);
INSERT INTO "audit_event" VALUES(15,'2026-11-26T12:57:23.005756+00:00','operator','study.create','finished','{"is_synthetic":false,"protocol":{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Finished"}}','d41f6adebd4dc0a05086bab6cdcca57c4e02ef0c7840aefc6fcf5ce70a34e9df','03be396b8df6ebab62d705b53265d097e688eb5dcd15ddfeb4e1818d4978f571',NULL);
INSERT INTO "audit_event" VALUES(16,'2026-11-26T12:57:23.023162+00:00','operator','study.import','finished','{"cases_per_cohort":{"internal":5},"image_notes":[],"n_cases":5,"n_excluded":0,"warnings":[]}','03be396b8df6ebab62d705b53265d097e688eb5dcd15ddfeb4e1818d4978f571','6b44ceb8ae03f30b25c3cdbb4b205a79ac1e15ff51d89b2a9ae129de092db6b1',NULL);
INSERT INTO "audit_event" VALUES(17,'2026-11-26T12:57:23.036156+00:00','operator','model.predict','finished','{"model_sha256":"abababababababababababababababababababababababababababababababab","seal":{"columns":"prediction.model_sha256 prediction.case_id prediction.probabilities prediction.class_maps prediction.class_maps_shape prediction.entropy prediction.is_out_of_distribution prediction.device prediction.precision prediction.created_at prediction.event_sequence","n":5,"sha256":"193c785e975d5738cfa5ab456cc3d2488c186883f72ef58869918d80bf1860c4"}}','6b44ceb8ae03f30b25c3cdbb4b205a79ac1e15ff51d89b2a9ae129de092db6b1','d18756fc65cd7278f02118070efa74db7bfb38c9ddbbfd40f5f5e5fd78f50089',NULL);
INSERT INTO "audit_event" VALUES(18,'2026-11-26T12:57:23.051336+00:00','operator','study.reader','finished','{"arms":["unaided"],"cohorts":["internal"],"login":"ann","n_presentations":5,"order":{"columns":"study_member.study_id study_member.person_id study_member.cohorts study_member.arms study_member.order_seed study_member.order_algorithm study_member.added_at presentation.presentation_id presentation.study_id presentation.person_id presentation.case_id presentation.arm presentation.repeat presentation.position person.login person.is_simulated person.years_of_experience","n":5,"sha256":"e95f9f349046813c1a0a04585cc024f40e071a897981f82242a734e5601206e2"},"order_algorithm":"pcg64-sha256-v2","order_seed":20230601}','d18756fc65cd7278f02118070efa74db7bfb38c9ddbbfd40f5f5e5fd78f50089','2785ba35bf23c3bd4b9aaa212b7f4ce1c586874b33dea5a105454342e80974c1',NULL);
INSERT INTO "audit_event" VALUES(19,'2026-11-26T12:57:23.066172+00:00','operator','study.state','finished','{"from":"draft","orders":{"ann":{"columns":"study_member.study_id study_member.person_id study_member.cohorts study_member.arms study_member.order_seed study_member.order_algorithm study_member.added_at presentation.presentation_id presentation.study_id presentation.person_id presentation.case_id presentation.arm presentation.repeat presentation.position person.login person.is_simulated person.years_of_experience","n":5,"sha256":"e95f9f349046813c1a0a04585cc024f40e071a897981f82242a734e5601206e2"}},"sealed":{"cases":{"columns":"study_case.case_id study_case.study_id study_case.cohort_id study_case.patient_id study_case.case_key study_case.centre study_case.scanner study_case.age_years study_case.sex study_case.exclusion_reason study_case.source_name patient.patient_id patient.study_id patient.cohort_id patient.patient_key cohort.cohort_id cohort.study_id cohort.name","n":5,"sha256":"e9179d2b0ae246cfeb3f0e521090e5e83078761fa703fc99235278442c88d5f2"},"declared model":{"columns":"model_version.sha256 model_version.name model_version.architecture model_version.path model_version.metadata model_version.registered_at","n":1,"sha256":"b64c2e2604bdeb938ab3e91c3fb398236a989f7eb8afa7678d4ec0f4925f8845"},"images":{"columns":"case_image.case_id case_image.view_number case_image.image_id case_image.pixel_spacing_mm case_image.file_format case_image.notes image.image_id image.content_sha256 image.height image.width image.bits image.png","n":5,"sha256":"9fe9eaa8ddcfbe6c2711315b0311e1452d054edc7922f67cf6ba885829065d49"},"predictions":{"columns":"prediction.model_sha256 prediction.case_id prediction.probabilities prediction.class_maps prediction.class_maps_shape prediction.entropy prediction.is_out_of_distribution prediction.device prediction.precision prediction.created_at prediction.event_sequence","n":5,"sha256":"193c785e975d5738cfa5ab456cc3d2488c186883f72ef58869918d80bf1860c4"},"protocol":{"columns":"protocol_version.study_id protocol_version.version protocol_version.protocol protocol_version.created_at","n":1,"sha256":"b29f0d4293812d71c01e45e6521574ff6be0137be3e2a7fe5ef750198cc955f1"},"reference standard":{"columns":"reference_standard.case_id reference_standard.class_key reference_standard.lesion_mask_png","n":5,"sha256":"0862df56d303e47bb1eca210917e698e96b228e8d7dc3069c76dff8c9dc15b3b"}},"to":"open"}','2785ba35bf23c3bd4b9aaa212b7f4ce1c586874b33dea5a105454342e80974c1','fa39a36295a9072e4631859b855ced78b371e162f983276b5601c3c704aecf3d',NULL);
INSERT INTO "audit_event" VALUES(20,'2026-11-26T12:57:23.081527+00:00','ann','case.shown','finished','{"position":1}','fa39a36295a9072e4631859b855ced78b371e162f983276b5601c3c704aecf3d','99238229a4c6d3022b1fca3ef0a788c398e2b3eebc213782393a0a13272a2251',NULL);
INSERT INTO "audit_event" VALUES(21,'2026-11-26T12:57:23.090049+00:00','ann','reading.save','finished','{"position":1,"reader":"ann","revision":1,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"8f2168f4ed12c2282dc66f95fb6f0ca031a2c4dcd1f845f2e3485b40432110d0"}}','99238229a4c6d3022b1fca3ef0a788c398e2b3eebc213782393a0a13272a2251','2f2d37b74ac1296e67bfa8d87ec0055fab16e3285e9b0072b8c7ef9a13437a39',NULL);
INSERT INTO "audit_event" VALUES(22,'2026-11-26T12:57:23.095182+00:00','ann','case.shown','finished','{"position":2}','2f2d37b74ac1296e67bfa8d87ec0055fab16e3285e9b0072b8c7ef9a13437a39','96b252c49c8bb15ddecb82e75f26b069a9e323fc23ef20d564c8a186414cdf19',NULL);
INSERT INTO "audit_event" VALUES(23,'2026-11-26T12:57:23.109447+00:00','ann','reading.save','finished','{"position":2,"reader":"ann","revision":1,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"65d31f3de658392bb0aa4887a2c3814e10e113a9dd746dae9c048e8dff09110f"}}','96b252c49c8bb15ddecb82e75f26b069a9e323fc23ef20d564c8a186414cdf19','7c46efc02ecd840c4f59f90adb7800f79e19e2f84312bfb3a5ba2fc27d781d0a',NULL);
INSERT INTO "audit_event" VALUES(24,'2026-11-26T12:57:23.115169+00:00','ann','case.shown','finished','{"position":3}','7c46efc02ecd840c4f59f90adb7800f79e19e2f84312bfb3a5ba2fc27d781d0a','3dcf915b8ada28ab269c588a9967cfd20f3cdac37884fc626e7e229ad9cab71d',NULL);
INSERT INTO "audit_event" VALUES(25,'2026-11-26T12:57:23.123841+00:00','ann','reading.save','finished','{"position":3,"reader":"ann","revision":1,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"5a06accc7a9c22eaeb22485453b0cf4dc5672b694cdf535a512bbfb26a6dc953"}}','3dcf915b8ada28ab269c588a9967cfd20f3cdac37884fc626e7e229ad9cab71d','c477938fee335d70d4d21c59b40a4efd22877f83ea67b6043b615557b551d002',NULL);
INSERT INTO "audit_event" VALUES(26,'2026-11-26T12:57:23.132697+00:00','ann','reading.save','finished','{"position":3,"reader":"ann","revision":2,"seal":{"columns":"reading.sequence reading.reading_id reading.presentation_id reading.revision reading.submit_id reading.class_key reading.confidence reading.comment reading.is_unreadable reading.reading_seconds reading.display_state reading.saved_at","n":1,"sha256":"b717ee5c686d6ea0e5daa8d093b1ac8c31ac31d075dd4e4e4d9ae5d9f599a054"}}','c477938fee335d70d4d21c59b40a4efd22877f83ea67b6043b615557b551d002','e4dea25aa2582c611c19ce0b37407d0ceaaa43628286e00a1e4d47396761711e',NULL);
INSERT INTO "audit_event" VALUES(27,'2026-11-26T12:57:23.139449+00:00','operator','study.state','finished','{"from":"open","to":"closed"}','e4dea25aa2582c611c19ce0b37407d0ceaaa43628286e00a1e4d47396761711e','15561c196d79da3f15611e26de3232bc1397396c8b75ecbd655a03e8ecd21951',NULL);
INSERT INTO "audit_event" VALUES(28,'2026-11-26T12:57:23.146848+00:00','operator','study.state','finished','{"from":"closed","to":"open"}','15561c196d79da3f15611e26de3232bc1397396c8b75ecbd655a03e8ecd21951','f0ce371629d9e5e27829848992b6fcb279f55eaf2a78a4784a6eb21762bae952',NULL);
INSERT INTO "audit_event" VALUES(29,'2026-11-26T12:57:23.150279+00:00','operator','study.state','finished','{"from":"open","to":"closed"}','f0ce371629d9e5e27829848992b6fcb279f55eaf2a78a4784a6eb21762bae952','6c02d8bab376f1fad989a9da93336ed1c9aa1093f3108832492e72ddf7fa3518',NULL);
INSERT INTO "audit_event" VALUES(30,'2026-11-26T12:57:23.158333+00:00','operator','study.state','finished','{"from":"closed","to":"unsealed"}','6c02d8bab376f1fad989a9da93336ed1c9aa1093f3108832492e72ddf7fa3518','f8b36395894ed5c9a485f2756463bab0a0c91c6ad3941dec1433eb6f8181117a',NULL);
INSERT INTO "audit_event" VALUES(31,'2026-11-26T12:57:23.162711+00:00','operator','study.create','drafted','{"is_synthetic":false,"protocol":{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Drafted"}}','f8b36395894ed5c9a485f2756463bab0a0c91c6ad3941dec1433eb6f8181117a','9de646761e8ad1fecdef5a1e92e67b405c6152af1c7ac124d94ee56bee116728',NULL);
INSERT INTO "audit_event" VALUES(32,'2026-11-26T12:57:23.189772+00:00','operator','study.import','drafted','{"cases_per_cohort":{"internal":5},"image_notes":[],"n_cases":5,"n_excluded":0,"warnings":[]}','9de646761e8ad1fecdef5a1e92e67b405c6152af1c7ac124d94ee56bee116728','f6ad678ebdc910837a635e30280fdf564b2235ea18a53c5fbf4961693e677a77',NULL);
INSERT INTO "audit_event" VALUES(33,'2026-11-26T12:57:23.196091+00:00','operator','model.predict','drafted','{"model_sha256":"abababababababababababababababababababababababababababababababab","seal":{"columns":"prediction.model_sha256 prediction.case_id prediction.probabilities prediction.class_maps prediction.class_maps_shape prediction.entropy prediction.is_out_of_distribution prediction.device prediction.precision prediction.created_at prediction.event_sequence","n":5,"sha256":"fce45ec000e47a3dccfd0f0788dab0468a545df923a6621c38c2f7a054079fa4"}}','f6ad678ebdc910837a635e30280fdf564b2235ea18a53c5fbf4961693e677a77','6e3d12cc4a9d2f7a4bd742326476db747a05c1d00acb595f044b769d62bf3b18',NULL);
INSERT INTO "audit_event" VALUES(34,'2026-11-26T12:57:23.210677+00:00','operator','study.reader','drafted','{"arms":["unaided"],"cohorts":["internal"],"login":"ann","n_presentations":5,"order":{"columns":"study_member.study_id study_member.person_id study_member.cohorts study_member.arms study_member.order_seed study_member.order_algorithm study_member.added_at presentation.presentation_id presentation.study_id presentation.person_id presentation.case_id presentation.arm presentation.repeat presentation.position person.login person.is_simulated person.years_of_experience","n":5,"sha256":"15abbc5675a69cea8126aa3d9e31a7c064f99284862259ce391fe07c64fbd784"},"order_algorithm":"pcg64-sha256-v2","order_seed":20230601}','6e3d12cc4a9d2f7a4bd742326476db747a05c1d00acb595f044b769d62bf3b18','a090cb2ef004ea5b9d249d220361b9f6a5772d62e0ebc310d595f738010c3e54',NULL);
CREATE TABLE case_image (
	case_id TEXT NOT NULL, 
	view_number INTEGER NOT NULL, 
	image_id TEXT NOT NULL, 
	pixel_spacing_mm REAL, file_format TEXT, notes TEXT DEFAULT '[]' NOT NULL, 
	CONSTRAINT pk_case_image PRIMARY KEY (case_id, view_number), 
	CONSTRAINT ck_case_image_spacing CHECK (pixel_spacing_mm IS NULL OR pixel_spacing_mm > 0), 
	CONSTRAINT ck_case_image_view CHECK (view_number >= 1), 
	CONSTRAINT fk_case_image_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id), 
	CONSTRAINT fk_case_image_image_id FOREIGN KEY(image_id) REFERENCES image (image_id)
)
 STRICT

;
INSERT INTO "case_image" VALUES('a655ff00-34ec-4c66-9c18-115afb13d5d9',1,'f0587d9c-6eed-437f-9712-4518c47bcb87',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('1989666b-3ee3-4b50-9b4e-1c037af0093c',1,'4dafc4ae-b56a-4e6d-acae-2a99f6d114f3',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('05f40ace-1ee8-4b3c-937c-da243fe8845b',1,'ce6bd683-65ff-4774-87fa-cd6fbef0293f',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('e651b875-8d40-4fa2-b0d3-1c5a528c8eb0',1,'fa56157e-7a4a-4455-ae9f-b9eca4a749d0',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('cf6b265a-f2de-450b-8f73-6b2bb8ecc263',1,'848d0b37-4ddf-4ba0-a094-6105a4359d11',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('e11edf81-821e-42b8-9049-fe65fa65be0e',1,'54f844b6-32f8-42fd-af6a-6f3fbbd3785d',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('e7654cd7-461f-4bdf-88e0-aeddd3c01a1c',1,'6254f08b-49f0-4a14-a803-4eb6acff68cd',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('ee73a75c-5393-460a-88ca-f102b7cce2a3',1,'544fcfb5-d3d1-41ce-b89b-5096e3c29094',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('bed7fb3a-0a7e-47a0-aa4f-a2f5b3198850',1,'87a45b19-a495-4fc8-a20c-fab9c207af9f',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('3d8a7826-3cb7-4b7b-976f-9ea4bd0de85c',1,'4abc35f8-1b82-45b0-b468-48512c7de08e',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('08e6d59a-f26c-44b1-b41e-27e1709d2633',1,'b235cb3c-536b-4db3-892a-1f7118bf4670',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('f752c1fe-7010-48c1-832c-bd2cb02ebb9f',1,'c542fa02-4ed4-4036-b3e6-d578326567fd',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('2e161782-b25d-4595-8527-1b71ea059635',1,'f36d9b3e-e529-4c52-920f-059b2fcc35a2',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('891851bd-33a2-4250-b065-c3466d87190f',1,'d094ff98-db56-4b20-acb8-18c46318cfa2',2.4,NULL,'[]');
INSERT INTO "case_image" VALUES('3c46c2a1-1e02-422d-8602-4685f6621e57',1,'85689d80-578f-40f5-8bc5-54c0912be8fd',2.4,NULL,'[]');
CREATE TABLE cohort (
	cohort_id TEXT NOT NULL, 
	study_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_cohort PRIMARY KEY (cohort_id), 
	CONSTRAINT fk_cohort_study_id FOREIGN KEY(study_id) REFERENCES study (study_id), 
	CONSTRAINT uq_cohort_study_id_name UNIQUE (study_id, name)
)
 STRICT

;
INSERT INTO "cohort" VALUES('33510e0c-9403-4805-b108-a9122002ff12','89d20ad3-f037-4043-9a2b-6d411097e4c1','internal');
INSERT INTO "cohort" VALUES('1c0907c5-d998-4d10-a0bd-72853d7a2226','e198e205-cb5a-4203-8f12-701d879afbc8','internal');
INSERT INTO "cohort" VALUES('12804539-f596-4078-8146-dc6f5926b1db','6f7d4457-4570-42da-a8c7-d6ed7775e952','internal');
CREATE TABLE image (
	image_id TEXT NOT NULL, 
	content_sha256 TEXT NOT NULL, 
	height INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	bits INTEGER NOT NULL, 
	png BLOB NOT NULL, 
	CONSTRAINT pk_image PRIMARY KEY (image_id), 
	CONSTRAINT ck_image_bits CHECK (bits IN (8, 16)), 
	CONSTRAINT ck_image_hash CHECK (length(content_sha256) = 64), 
	CONSTRAINT ck_image_png CHECK (length(png) > 0), 
	CONSTRAINT ck_image_size CHECK (width >= 1 AND height >= 1), 
	CONSTRAINT uq_image_content_sha256 UNIQUE (content_sha256)
)
 STRICT

;
INSERT INTO "image" VALUES('f0587d9c-6eed-437f-9712-4518c47bcb87','ebb745e8ed9140fe581a75e62c98b4b60766ca22b06a9107371dcfa39f50db1c',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF02B27FBE3118541412C20D02788ED190C0ED37B6F9BF02DC7C3CF8AD9D3DA952FC0203B2F33891309D1E4013BD8013FC531AFAB00000000049454E44AE426082');
INSERT INTO "image" VALUES('4dafc4ae-b56a-4e6d-acae-2a99f6d114f3','7b6ef061daebdb8f107022542b71cdec54f6e174f29a595d2655c9dc7ee6b3bf',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF026583B8D4919818CF704602C024863B07A20DA034C8027D656E1BA347696A769502E42ED0372030E745F9309787122B33DA8F590000000049454E44AE426082');
INSERT INTO "image" VALUES('ce6bd683-65ff-4774-87fa-cd6fbef0293f','7f12855700dcb54cd4fdd149da92a0007b3ade605f381e88c1f68cce69932073',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF026276958464EDD1D29C2B0227111B72C4940AD710C20232340165B89E8A9E0C5602A4C49140D48DE5B774369C881311F29AE9820000000049454E44AE426082');
INSERT INTO "image" VALUES('fa56157e-7a4a-4455-ae9f-b9eca4a749d0','ffc27a3953c2df92ed5cb11b8d2eaa24b9dbb639775769ae76245f958cba58e5',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF022527986D3194A32C8C1F02A69317A61306EA820D2E02359E11D9CE6C15A34BD902DDE0455CD04A7E5276775FAC11570F7C5C0A0000000049454E44AE426082');
INSERT INTO "image" VALUES('848d0b37-4ddf-4ba0-a094-6105a4359d11','73a9d7e22c070ff82fac336e2b3a1af094f6ba2d9e7126b6ab17457bb05da7bf',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF02B1100A19296AD0FE528002EA3F2DC860BB4150E7D80214853794C16C1B4E37A6020668025625A32394CBA27ECC1132479921400000000049454E44AE426082');
INSERT INTO "image" VALUES('54f844b6-32f8-42fd-af6a-6f3fbbd3785d','4b4ce0ae28dd2d1bbf80b7c1bf7db597b457de78355ee0be593b5cecce57374b',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF029BBEA5B1327E79CD680702BCF829A309F3A320FBF60237EDAE745F5C7CB516EF02D3AB5E87CEB441D9F7AAE9E917243EADA7FE0000000049454E44AE426082');
INSERT INTO "image" VALUES('6254f08b-49f0-4a14-a803-4eb6acff68cd','75a703388fae50b7ecbe5ac3749fbf57a7a908287bfd76fb11b23140e18c7f7d',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF0202978E898A9793ACC650023883D309BB4AB2E2ACE60279604C468D08FFFF479D02F6C7EC61DA22EFB56F63D3F0164F6326059D0000000049454E44AE426082');
INSERT INTO "image" VALUES('544fcfb5-d3d1-41ce-b89b-5096e3c29094','4a4c91d4938459c127e49dea4996fd79c3a424b233bb6ac9eef1f030dda57b37',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF026D43C28087B5C57FD1D4022DDFA6517A65109ACF33028085CCF1706BEB1B18D102BC7AABCCF3EC96DE2872E9CA16D4B0D9D8630000000049454E44AE426082');
INSERT INTO "image" VALUES('87a45b19-a495-4fc8-a20c-fab9c207af9f','5cb07c32b8fb32a181deb35f7b454ea0e783870eadfecb1a1aaa4a6ec8833dce',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF027A21B1D192334C4F12220253C35AB8C8EF495005D802ADF2808B07C7328A44E5021F01D7BFFB6ADC2678939AEB13942C495F5D0000000049454E44AE426082');
INSERT INTO "image" VALUES('4abc35f8-1b82-45b0-b468-48512c7de08e','99e99c80fb7c55361c0446b73a6f06668bf443e3b2e3e75367d342aab6abfcbe',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF02848F706CBA225A642ABD029EBC463F77B0B6C479F402BAFE05A1E817344685A402B711294AB3422092FA70B73F13B270E003B00000000049454E44AE426082');
INSERT INTO "image" VALUES('b235cb3c-536b-4db3-892a-1f7118bf4670','e47fdea644e7e638b59277e43b9ead97e127fd97869360c43e9e4d4f428bca1d',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF02DB2D40896D6E7AD7B28702A87E1DCC5E80E3D36365029B8E38D6C4B77DABC98C0210DC06B52B3B71AA4CC8D63E1515243C42CE0000000049454E44AE426082');
INSERT INTO "image" VALUES('c542fa02-4ed4-4036-b3e6-d578326567fd','928b11bddd969111b2292923a5ef1897490352c16ae78f34cba7a9872f70d6d1',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000035494441547801635A66C7E56F71743D77823C538BF35CD68A7686CCB7D94C4E47EFF6F55ED6FDD2A0C3943D736DA751CFC1D2E46600728C125808841D260000000049454E44AE426082');
INSERT INTO "image" VALUES('f36d9b3e-e529-4c52-920f-059b2fcc35a2','99abe4212b40bbceeab7df3a7e63ef0541197935ebc872fddf8dca7207306bdb',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF021CA03AC599C5C76DE3BB026D5F76948ED5D5B63FDB025906D38ABC7DB069709702AEFC2997AB2529D5EC2CF08816374BB5E6BF0000000049454E44AE426082');
INSERT INTO "image" VALUES('d094ff98-db56-4b20-acb8-18c46318cfa2','7258311a3e62aa04d0c9981a0790697c0a595e234218be92f9b4394a93e7dcf1',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF02ABBC8DC5E4BB02074F80025CB234CB00700AA6B85902763CBFB872617B790559021EE9BE9DAFFAA6359BC8AD2A140E0D4F2B380000000049454E44AE426082');
INSERT INTO "image" VALUES('85689d80-578f-40f5-8bc5-54c0912be8fd','5dbada5c71b710edd81ba063f680ca3d257ad939b43ed374ac1633d25196261d',4,5,16,X'89504E470D0A1A0A0000000D494844520000000500000004100000000033C876DF00000037494441547801012C00D3FF02E759321F8BA9E073C93D02C1A742F478B33D42466002A252D17AA5C843F224DB022930E29E9F86D703949FCBF9150077C1743B0000000049454E44AE426082');
CREATE TABLE model_version (
	sha256 TEXT NOT NULL, 
	name TEXT NOT NULL, 
	architecture TEXT NOT NULL, 
	path TEXT NOT NULL, 
	metadata TEXT NOT NULL, 
	registered_at TEXT NOT NULL, 
	CONSTRAINT pk_model_version PRIMARY KEY (sha256), 
	CONSTRAINT ck_model_version_hash CHECK (length(sha256) = 64)
)
 STRICT

;
INSERT INTO "model_version" VALUES('abababababababababababababababababababababababababababababababab','net','small','x','{}','2026-11-26T12:57:22.327774+00:00');
CREATE TABLE patient (
	patient_id TEXT NOT NULL, 
	study_id TEXT NOT NULL, 
	cohort_id TEXT NOT NULL, 
	patient_key TEXT NOT NULL, 
	CONSTRAINT pk_patient PRIMARY KEY (patient_id), 
	CONSTRAINT fk_patient_cohort_id FOREIGN KEY(cohort_id) REFERENCES cohort (cohort_id), 
	CONSTRAINT fk_patient_study_id FOREIGN KEY(study_id) REFERENCES study (study_id), 
	CONSTRAINT uq_patient_study_id_patient_key UNIQUE (study_id, patient_key)
)
 STRICT

;
INSERT INTO "patient" VALUES('261fe22e-e8f4-44a2-892a-10fb6e2b5143','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','p-000');
INSERT INTO "patient" VALUES('2901790e-8528-46e9-a846-13bc2ca6ec27','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','p-001');
INSERT INTO "patient" VALUES('35488fe0-b8a3-427d-acc0-9754043a0b08','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','p-002');
INSERT INTO "patient" VALUES('d91c8340-04e9-4cf9-bfbb-c42fe28fe48f','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','p-003');
INSERT INTO "patient" VALUES('faa33a86-aa46-42b0-ab16-116aac363b7a','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','p-004');
INSERT INTO "patient" VALUES('5eda576c-9732-44b3-b645-02eb7863272c','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','p-010');
INSERT INTO "patient" VALUES('afda8715-a6f9-44eb-8e20-af60fb9ccd9d','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','p-011');
INSERT INTO "patient" VALUES('ec21bbea-da89-41d9-9f8e-a51743ff3cc9','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','p-012');
INSERT INTO "patient" VALUES('7e86b753-328d-41cf-a678-a83b3d868f3e','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','p-013');
INSERT INTO "patient" VALUES('acc55ded-dcbb-471e-959d-7f4c783a215f','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','p-014');
INSERT INTO "patient" VALUES('840566de-6c4d-4240-bef2-14cd51f7fa96','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','p-020');
INSERT INTO "patient" VALUES('bc50221f-5ade-41cd-a20f-6ad78a4652b8','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','p-021');
INSERT INTO "patient" VALUES('d72eb46a-a870-464c-af85-657b77f1672e','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','p-022');
INSERT INTO "patient" VALUES('0947a11e-303e-4026-968e-65b0ca33d5ab','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','p-023');
INSERT INTO "patient" VALUES('1eac6bad-f6f7-4c7f-bf4c-ed6939670ded','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','p-024');
CREATE TABLE person (
	person_id TEXT NOT NULL, 
	login TEXT NOT NULL, 
	display_name TEXT NOT NULL, 
	role TEXT NOT NULL, 
	password_hash TEXT, 
	is_simulated INTEGER NOT NULL, 
	years_of_experience REAL, 
	is_active INTEGER NOT NULL, 
	created_at TEXT NOT NULL, 
	CONSTRAINT pk_person PRIMARY KEY (person_id), 
	CONSTRAINT ck_person_role CHECK (role IN ('coordinator', 'reader')), 
	CONSTRAINT ck_person_login CHECK (length(login) BETWEEN 1 AND 200), 
	CONSTRAINT ck_person_years CHECK (years_of_experience IS NULL OR years_of_experience >= 0), 
	CONSTRAINT uq_person_login UNIQUE (login)
)
 STRICT

;
INSERT INTO "person" VALUES('4d002ca1-f86d-4d24-9317-a048a59fef82','ann','Dr Änn','reader',NULL,0,NULL,1,'2026-11-26T12:57:22.288340+00:00');
CREATE TABLE prediction (
	model_sha256 TEXT NOT NULL, 
	case_id TEXT NOT NULL, 
	probabilities TEXT NOT NULL, 
	class_maps BLOB, 
	class_maps_shape TEXT, 
	entropy REAL NOT NULL, 
	is_out_of_distribution INTEGER NOT NULL, 
	device TEXT NOT NULL, 
	precision TEXT NOT NULL, 
	created_at TEXT NOT NULL, event_sequence INTEGER, 
	CONSTRAINT pk_prediction PRIMARY KEY (model_sha256, case_id), 
	CONSTRAINT ck_prediction_maps CHECK ((class_maps IS NULL) = (class_maps_shape IS NULL)), 
	CONSTRAINT ck_prediction_entropy CHECK (entropy >= 0), 
	CONSTRAINT fk_prediction_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id), 
	CONSTRAINT fk_prediction_model_sha256 FOREIGN KEY(model_sha256) REFERENCES model_version (sha256)
)
 STRICT

;
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','a655ff00-34ec-4c66-9c18-115afb13d5d9','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:22.696037+00:00',5);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','1989666b-3ee3-4b50-9b4e-1c037af0093c','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:22.696037+00:00',5);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','05f40ace-1ee8-4b3c-937c-da243fe8845b','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:22.696037+00:00',5);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','e651b875-8d40-4fa2-b0d3-1c5a528c8eb0','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:22.696037+00:00',5);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','cf6b265a-f2de-450b-8f73-6b2bb8ecc263','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:22.696037+00:00',5);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','e11edf81-821e-42b8-9049-fe65fa65be0e','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.034594+00:00',17);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','e7654cd7-461f-4bdf-88e0-aeddd3c01a1c','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.034594+00:00',17);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','ee73a75c-5393-460a-88ca-f102b7cce2a3','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.034594+00:00',17);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','bed7fb3a-0a7e-47a0-aa4f-a2f5b3198850','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.034594+00:00',17);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','3d8a7826-3cb7-4b7b-976f-9ea4bd0de85c','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.034594+00:00',17);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','08e6d59a-f26c-44b1-b41e-27e1709d2633','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.194461+00:00',33);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','f752c1fe-7010-48c1-832c-bd2cb02ebb9f','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.194461+00:00',33);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','2e161782-b25d-4595-8527-1b71ea059635','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.194461+00:00',33);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','891851bd-33a2-4250-b065-c3466d87190f','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.194461+00:00',33);
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','3c46c2a1-1e02-422d-8602-4685f6621e57','[0.1,0.2,0.3,0.4]',NULL,NULL,1.8,0,'cpu','fp32','2026-11-26T12:57:23.194461+00:00',33);
CREATE TABLE presentation (
	presentation_id TEXT NOT NULL, 
	study_id TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	case_id TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	repeat INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	CONSTRAINT pk_presentation PRIMARY KEY (presentation_id), 
	CONSTRAINT ck_presentation_arm CHECK (arm IN ('unaided', 'aided')), 
	CONSTRAINT ck_presentation_position CHECK (position >= 1), 
	CONSTRAINT ck_presentation_repeat CHECK (repeat >= 1), 
	CONSTRAINT fk_presentation_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id), 
	CONSTRAINT fk_presentation_member FOREIGN KEY(study_id, person_id) REFERENCES study_member (study_id, person_id), 
	CONSTRAINT uq_presentation_study_id_person_id_case_id_arm_repeat UNIQUE (study_id, person_id, case_id, arm, repeat), 
	CONSTRAINT uq_presentation_study_id_person_id_position UNIQUE (study_id, person_id, position)
)
 STRICT

;
INSERT INTO "presentation" VALUES('0453346d-4644-4eaa-adfe-882b5d75f91e','89d20ad3-f037-4043-9a2b-6d411097e4c1','4d002ca1-f86d-4d24-9317-a048a59fef82','cf6b265a-f2de-450b-8f73-6b2bb8ecc263','unaided',1,1);
INSERT INTO "presentation" VALUES('f2ff6b23-3a96-44a7-aac9-f5bbf20a20c3','89d20ad3-f037-4043-9a2b-6d411097e4c1','4d002ca1-f86d-4d24-9317-a048a59fef82','1989666b-3ee3-4b50-9b4e-1c037af0093c','unaided',1,2);
INSERT INTO "presentation" VALUES('27cbc9ac-df7d-4037-8097-7e885b1868e2','89d20ad3-f037-4043-9a2b-6d411097e4c1','4d002ca1-f86d-4d24-9317-a048a59fef82','e651b875-8d40-4fa2-b0d3-1c5a528c8eb0','unaided',1,3);
INSERT INTO "presentation" VALUES('9ad2e735-604f-4b89-bac3-9f75e3fcc5cd','89d20ad3-f037-4043-9a2b-6d411097e4c1','4d002ca1-f86d-4d24-9317-a048a59fef82','05f40ace-1ee8-4b3c-937c-da243fe8845b','unaided',1,4);
INSERT INTO "presentation" VALUES('e89ba602-4a95-415c-bd1c-ec970d0d9290','89d20ad3-f037-4043-9a2b-6d411097e4c1','4d002ca1-f86d-4d24-9317-a048a59fef82','a655ff00-34ec-4c66-9c18-115afb13d5d9','unaided',1,5);
INSERT INTO "presentation" VALUES('620fd0f7-df30-41e9-a83d-8199af857ae2','e198e205-cb5a-4203-8f12-701d879afbc8','4d002ca1-f86d-4d24-9317-a048a59fef82','e11edf81-821e-42b8-9049-fe65fa65be0e','unaided',1,1);
INSERT INTO "presentation" VALUES('ca598a45-6816-4efb-8261-d8f3352383e9','e198e205-cb5a-4203-8f12-701d879afbc8','4d002ca1-f86d-4d24-9317-a048a59fef82','bed7fb3a-0a7e-47a0-aa4f-a2f5b3198850','unaided',1,2);
INSERT INTO "presentation" VALUES('cee59af7-3cf3-463a-adad-65fb8e79ed4f','e198e205-cb5a-4203-8f12-701d879afbc8','4d002ca1-f86d-4d24-9317-a048a59fef82','ee73a75c-5393-460a-88ca-f102b7cce2a3','unaided',1,3);
INSERT INTO "presentation" VALUES('fb6ae81b-1ba0-46fb-a259-c0164b7fb5af','e198e205-cb5a-4203-8f12-701d879afbc8','4d002ca1-f86d-4d24-9317-a048a59fef82','e7654cd7-461f-4bdf-88e0-aeddd3c01a1c','unaided',1,4);
INSERT INTO "presentation" VALUES('1f4b912d-bec7-4635-ad68-60bce1674247','e198e205-cb5a-4203-8f12-701d879afbc8','4d002ca1-f86d-4d24-9317-a048a59fef82','3d8a7826-3cb7-4b7b-976f-9ea4bd0de85c','unaided',1,5);
INSERT INTO "presentation" VALUES('1f72c9f0-e3a8-41ac-8a9d-b7f5429f0872','6f7d4457-4570-42da-a8c7-d6ed7775e952','4d002ca1-f86d-4d24-9317-a048a59fef82','08e6d59a-f26c-44b1-b41e-27e1709d2633','unaided',1,1);
INSERT INTO "presentation" VALUES('7ab77d1b-6398-4c2f-afb3-8d36f901e96d','6f7d4457-4570-42da-a8c7-d6ed7775e952','4d002ca1-f86d-4d24-9317-a048a59fef82','891851bd-33a2-4250-b065-c3466d87190f','unaided',1,2);
INSERT INTO "presentation" VALUES('a4e82445-3a54-42e0-9b23-23b1ea8460ad','6f7d4457-4570-42da-a8c7-d6ed7775e952','4d002ca1-f86d-4d24-9317-a048a59fef82','f752c1fe-7010-48c1-832c-bd2cb02ebb9f','unaided',1,3);
INSERT INTO "presentation" VALUES('55e74f95-beea-4840-841b-668f26e81a84','6f7d4457-4570-42da-a8c7-d6ed7775e952','4d002ca1-f86d-4d24-9317-a048a59fef82','2e161782-b25d-4595-8527-1b71ea059635','unaided',1,4);
INSERT INTO "presentation" VALUES('f4a75047-288a-4c75-8b6d-0d48ccf2cf04','6f7d4457-4570-42da-a8c7-d6ed7775e952','4d002ca1-f86d-4d24-9317-a048a59fef82','3c46c2a1-1e02-422d-8602-4685f6621e57','unaided',1,5);
CREATE TABLE protocol_version (
	study_id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	protocol TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	CONSTRAINT pk_protocol_version PRIMARY KEY (study_id, version), 
	CONSTRAINT ck_protocol_version_version CHECK (version >= 1), 
	CONSTRAINT fk_protocol_version_study_id FOREIGN KEY(study_id) REFERENCES study (study_id)
)
 STRICT

;
INSERT INTO "protocol_version" VALUES('89d20ad3-f037-4043-9a2b-6d411097e4c1',1,'{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Reading"}','2026-11-26T12:57:22.338586+00:00');
INSERT INTO "protocol_version" VALUES('e198e205-cb5a-4203-8f12-701d879afbc8',1,'{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Finished"}','2026-11-26T12:57:23.001536+00:00');
INSERT INTO "protocol_version" VALUES('6f7d4457-4570-42da-a8c7-d6ed7775e952',1,'{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Drafted"}','2026-11-26T12:57:23.161698+00:00');
CREATE TABLE reading (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	reading_id TEXT NOT NULL, 
	presentation_id TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	submit_id TEXT NOT NULL, 
	class_key TEXT NOT NULL, 
	confidence INTEGER NOT NULL, 
	comment TEXT NOT NULL, 
	is_unreadable INTEGER NOT NULL, 
	reading_seconds REAL, 
	display_state TEXT NOT NULL, 
	saved_at TEXT NOT NULL, 
	CONSTRAINT ck_reading_confidence CHECK (confidence >= 1), 
	CONSTRAINT ck_reading_class CHECK (length(class_key) > 0), 
	CONSTRAINT ck_reading_submit CHECK (length(submit_id) BETWEEN 1 AND 100), 
	CONSTRAINT ck_reading_seconds CHECK (reading_seconds IS NULL OR reading_seconds >= 0), 
	CONSTRAINT ck_reading_revision CHECK (revision >= 1), 
	CONSTRAINT fk_reading_presentation_id FOREIGN KEY(presentation_id) REFERENCES presentation (presentation_id), 
	CONSTRAINT uq_reading_presentation_id_revision UNIQUE (presentation_id, revision), 
	CONSTRAINT uq_reading_reading_id UNIQUE (reading_id), 
	CONSTRAINT uq_reading_submit_id UNIQUE (submit_id)
)
 STRICT

;
INSERT INTO "reading" VALUES(1,'d30f4310-9b48-4f73-9cf5-0be90163a886','0453346d-4644-4eaa-adfe-882b5d75f91e',1,'reading-0','sat',3,'dürfte es sein 😀',0,3.33333333333333314829e-01,'{"zoom":2.5}','2026-11-26T12:57:22.813674+00:00');
INSERT INTO "reading" VALUES(2,'980e8fc0-9a80-41fc-9bb5-2a7e9eec358a','f2ff6b23-3a96-44a7-aac9-f5bbf20a20c3',1,'reading-1','tumor',5,'',1,NULL,'{}','2026-11-26T12:57:22.834728+00:00');
INSERT INTO "reading" VALUES(3,'2fec3ba5-0da8-446d-8ce1-71509f8ab948','27cbc9ac-df7d-4037-8097-7e885b1868e2',1,'reading-2','normal',1,'',0,0.1,'{}','2026-11-26T12:57:22.948597+00:00');
INSERT INTO "reading" VALUES(4,'eaa88932-0932-4aa4-9bcf-0fac65ca2ddf','27cbc9ac-df7d-4037-8097-7e885b1868e2',2,'reading-again','graves',2,'',0,12.7,'{}','2026-11-26T12:57:22.986550+00:00');
INSERT INTO "reading" VALUES(5,'d76e3687-db17-4d92-a7e5-622fddd841ac','620fd0f7-df30-41e9-a83d-8199af857ae2',1,'finished-0','sat',3,'dürfte es sein 😀',0,3.33333333333333314829e-01,'{"zoom":2.5}','2026-11-26T12:57:23.089538+00:00');
INSERT INTO "reading" VALUES(6,'b64fab75-cb2a-466b-a730-8d480cf3b7cb','ca598a45-6816-4efb-8261-d8f3352383e9',1,'finished-1','tumor',5,'',1,NULL,'{}','2026-11-26T12:57:23.104836+00:00');
INSERT INTO "reading" VALUES(7,'96ddcd32-8851-48b9-87f3-259931b03801','cee59af7-3cf3-463a-adad-65fb8e79ed4f',1,'finished-2','normal',1,'',0,0.1,'{}','2026-11-26T12:57:23.123366+00:00');
INSERT INTO "reading" VALUES(8,'b0188f0a-dc9f-45ec-a614-917abc0a70bc','cee59af7-3cf3-463a-adad-65fb8e79ed4f',2,'finished-again','graves',2,'',0,12.7,'{}','2026-11-26T12:57:23.132288+00:00');
CREATE TABLE reference_standard (
	case_id TEXT NOT NULL, 
	class_key TEXT NOT NULL, 
	lesion_mask_png BLOB, 
	CONSTRAINT pk_reference_standard PRIMARY KEY (case_id), 
	CONSTRAINT fk_reference_standard_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id)
)
 STRICT

;
INSERT INTO "reference_standard" VALUES('a655ff00-34ec-4c66-9c18-115afb13d5d9','graves',NULL);
INSERT INTO "reference_standard" VALUES('1989666b-3ee3-4b50-9b4e-1c037af0093c','normal',NULL);
INSERT INTO "reference_standard" VALUES('05f40ace-1ee8-4b3c-937c-da243fe8845b','sat',NULL);
INSERT INTO "reference_standard" VALUES('e651b875-8d40-4fa2-b0d3-1c5a528c8eb0','tumor',NULL);
INSERT INTO "reference_standard" VALUES('cf6b265a-f2de-450b-8f73-6b2bb8ecc263','graves',NULL);
INSERT INTO "reference_standard" VALUES('e11edf81-821e-42b8-9049-fe65fa65be0e','sat',NULL);
INSERT INTO "reference_standard" VALUES('e7654cd7-461f-4bdf-88e0-aeddd3c01a1c','tumor',NULL);
INSERT INTO "reference_standard" VALUES('ee73a75c-5393-460a-88ca-f102b7cce2a3','graves',NULL);
INSERT INTO "reference_standard" VALUES('bed7fb3a-0a7e-47a0-aa4f-a2f5b3198850','normal',NULL);
INSERT INTO "reference_standard" VALUES('3d8a7826-3cb7-4b7b-976f-9ea4bd0de85c','sat',NULL);
INSERT INTO "reference_standard" VALUES('08e6d59a-f26c-44b1-b41e-27e1709d2633','graves',NULL);
INSERT INTO "reference_standard" VALUES('f752c1fe-7010-48c1-832c-bd2cb02ebb9f','normal',NULL);
INSERT INTO "reference_standard" VALUES('2e161782-b25d-4595-8527-1b71ea059635','sat',NULL);
INSERT INTO "reference_standard" VALUES('891851bd-33a2-4250-b065-c3466d87190f','tumor',NULL);
INSERT INTO "reference_standard" VALUES('3c46c2a1-1e02-422d-8602-4685f6621e57','graves',NULL);
CREATE TABLE sign_in_attempt (
	login TEXT NOT NULL, 
	ip TEXT NOT NULL, 
	failures INTEGER NOT NULL, 
	last_attempt_at TEXT NOT NULL, 
	next_allowed_at TEXT NOT NULL, 
	CONSTRAINT pk_sign_in_attempt PRIMARY KEY (login, ip), 
	CONSTRAINT ck_sign_in_attempt_failures CHECK (failures >= 0)
)
 STRICT

;
CREATE TABLE sign_in_session (
	token_sha256 TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	ip TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	expires_at TEXT NOT NULL, 
	revoked_at TEXT, 
	CONSTRAINT pk_sign_in_session PRIMARY KEY (token_sha256), 
	CONSTRAINT ck_sign_in_session_token CHECK (length(token_sha256) = 64), 
	CONSTRAINT fk_sign_in_session_person_id FOREIGN KEY(person_id) REFERENCES person (person_id)
)
 STRICT

;
CREATE TABLE study (
	study_id TEXT NOT NULL, 
	study_key TEXT NOT NULL, 
	state TEXT NOT NULL, 
	is_synthetic INTEGER NOT NULL, 
	created_at TEXT NOT NULL, 
	CONSTRAINT pk_study PRIMARY KEY (study_id), 
	CONSTRAINT ck_study_state CHECK (state IN ('draft', 'open', 'closed', 'unsealed')), 
	CONSTRAINT ck_study_key CHECK (length(study_key) BETWEEN 1 AND 64), 
	CONSTRAINT uq_study_study_key UNIQUE (study_key)
)
 STRICT

;
INSERT INTO "study" VALUES('89d20ad3-f037-4043-9a2b-6d411097e4c1','reading','open',0,'2026-11-26T12:57:22.338586+00:00');
INSERT INTO "study" VALUES('e198e205-cb5a-4203-8f12-701d879afbc8','finished','unsealed',0,'2026-11-26T12:57:23.001536+00:00');
INSERT INTO "study" VALUES('6f7d4457-4570-42da-a8c7-d6ed7775e952','drafted','draft',0,'2026-11-26T12:57:23.161698+00:00');
CREATE TABLE study_case (
	case_id TEXT NOT NULL, 
	study_id TEXT NOT NULL, 
	cohort_id TEXT NOT NULL, 
	patient_id TEXT NOT NULL, 
	case_key TEXT NOT NULL, 
	centre TEXT, 
	scanner TEXT, 
	age_years REAL, 
	sex TEXT, 
	exclusion_reason TEXT, 
	source_name TEXT, 
	CONSTRAINT pk_study_case PRIMARY KEY (case_id), 
	CONSTRAINT ck_study_case_sex CHECK (sex IS NULL OR sex IN ('F', 'M')), 
	CONSTRAINT ck_study_case_age CHECK (age_years IS NULL OR age_years >= 0), 
	CONSTRAINT fk_study_case_cohort_id FOREIGN KEY(cohort_id) REFERENCES cohort (cohort_id), 
	CONSTRAINT fk_study_case_patient_id FOREIGN KEY(patient_id) REFERENCES patient (patient_id), 
	CONSTRAINT fk_study_case_study_id FOREIGN KEY(study_id) REFERENCES study (study_id), 
	CONSTRAINT uq_study_case_study_id_case_key UNIQUE (study_id, case_key)
)
 STRICT

;
INSERT INTO "study_case" VALUES('a655ff00-34ec-4c66-9c18-115afb13d5d9','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','261fe22e-e8f4-44a2-892a-10fb6e2b5143','case-000',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('1989666b-3ee3-4b50-9b4e-1c037af0093c','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','2901790e-8528-46e9-a846-13bc2ca6ec27','case-001',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('05f40ace-1ee8-4b3c-937c-da243fe8845b','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','35488fe0-b8a3-427d-acc0-9754043a0b08','case-002',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('e651b875-8d40-4fa2-b0d3-1c5a528c8eb0','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','d91c8340-04e9-4cf9-bfbb-c42fe28fe48f','case-003',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('cf6b265a-f2de-450b-8f73-6b2bb8ecc263','89d20ad3-f037-4043-9a2b-6d411097e4c1','33510e0c-9403-4805-b108-a9122002ff12','faa33a86-aa46-42b0-ab16-116aac363b7a','case-004',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('e11edf81-821e-42b8-9049-fe65fa65be0e','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','5eda576c-9732-44b3-b645-02eb7863272c','case-010',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('e7654cd7-461f-4bdf-88e0-aeddd3c01a1c','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','afda8715-a6f9-44eb-8e20-af60fb9ccd9d','case-011',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('ee73a75c-5393-460a-88ca-f102b7cce2a3','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','ec21bbea-da89-41d9-9f8e-a51743ff3cc9','case-012',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('bed7fb3a-0a7e-47a0-aa4f-a2f5b3198850','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','7e86b753-328d-41cf-a678-a83b3d868f3e','case-013',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('3d8a7826-3cb7-4b7b-976f-9ea4bd0de85c','e198e205-cb5a-4203-8f12-701d879afbc8','1c0907c5-d998-4d10-a0bd-72853d7a2226','acc55ded-dcbb-471e-959d-7f4c783a215f','case-014',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('08e6d59a-f26c-44b1-b41e-27e1709d2633','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','840566de-6c4d-4240-bef2-14cd51f7fa96','case-020',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('f752c1fe-7010-48c1-832c-bd2cb02ebb9f','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','bc50221f-5ade-41cd-a20f-6ad78a4652b8','case-021',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('2e161782-b25d-4595-8527-1b71ea059635','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','d72eb46a-a870-464c-af85-657b77f1672e','case-022',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('891851bd-33a2-4250-b065-c3466d87190f','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','0947a11e-303e-4026-968e-65b0ca33d5ab','case-023',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('3c46c2a1-1e02-422d-8602-4685f6621e57','6f7d4457-4570-42da-a8c7-d6ed7775e952','12804539-f596-4078-8146-dc6f5926b1db','1eac6bad-f6f7-4c7f-bf4c-ed6939670ded','case-024',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE study_member (
	study_id TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	cohorts TEXT NOT NULL, 
	arms TEXT NOT NULL, 
	order_seed INTEGER NOT NULL, 
	order_algorithm TEXT NOT NULL, 
	added_at TEXT NOT NULL, 
	CONSTRAINT pk_study_member PRIMARY KEY (study_id, person_id), 
	CONSTRAINT fk_study_member_person_id FOREIGN KEY(person_id) REFERENCES person (person_id), 
	CONSTRAINT fk_study_member_study_id FOREIGN KEY(study_id) REFERENCES study (study_id)
)
 STRICT

;
INSERT INTO "study_member" VALUES('89d20ad3-f037-4043-9a2b-6d411097e4c1','4d002ca1-f86d-4d24-9317-a048a59fef82','["internal"]','["unaided"]',20230601,'pcg64-sha256-v2','2026-11-26T12:57:22.728245+00:00');
INSERT INTO "study_member" VALUES('e198e205-cb5a-4203-8f12-701d879afbc8','4d002ca1-f86d-4d24-9317-a048a59fef82','["internal"]','["unaided"]',20230601,'pcg64-sha256-v2','2026-11-26T12:57:23.046571+00:00');
INSERT INTO "study_member" VALUES('6f7d4457-4570-42da-a8c7-d6ed7775e952','4d002ca1-f86d-4d24-9317-a048a59fef82','["internal"]','["unaided"]',20230601,'pcg64-sha256-v2','2026-11-26T12:57:23.204132+00:00');
CREATE INDEX ix_audit_event_study_key ON audit_event (study_key);
CREATE INDEX ix_model_version_name ON model_version (name);
CREATE INDEX ix_sign_in_attempt_last_attempt_at ON sign_in_attempt (last_attempt_at);
CREATE INDEX ix_sign_in_session_person_id ON sign_in_session (person_id);
CREATE INDEX ix_patient_cohort_id ON patient (cohort_id);
CREATE INDEX ix_study_case_cohort_id ON study_case (cohort_id);
CREATE INDEX ix_study_case_patient_id ON study_case (patient_id);
CREATE INDEX ix_case_image_image_id ON case_image (image_id);
CREATE INDEX ix_prediction_case_id ON prediction (case_id);
CREATE INDEX ix_presentation_case_id ON presentation (case_id);
CREATE TRIGGER reading_no_update BEFORE UPDATE ON reading BEGIN SELECT RAISE(ABORT, 'append-only: reading'); END;
CREATE TRIGGER reading_no_delete BEFORE DELETE ON reading BEGIN SELECT RAISE(ABORT, 'append-only: reading'); END;
CREATE TRIGGER reading_no_replace BEFORE INSERT ON reading WHEN EXISTS (SELECT 1 FROM reading WHERE (sequence = NEW.sequence) OR (reading_id = NEW.reading_id) OR (submit_id = NEW.submit_id) OR (presentation_id = NEW.presentation_id AND revision = NEW.revision)) BEGIN SELECT RAISE(ABORT, 'append-only: reading'); END;
CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON audit_event BEGIN SELECT RAISE(ABORT, 'append-only: audit_event'); END;
CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, 'append-only: audit_event'); END;
CREATE TRIGGER audit_event_no_replace BEFORE INSERT ON audit_event WHEN EXISTS (SELECT 1 FROM audit_event WHERE (sequence = NEW.sequence) OR (prev_hash = NEW.prev_hash) OR (hash = NEW.hash)) BEGIN SELECT RAISE(ABORT, 'append-only: audit_event'); END;
CREATE TRIGGER prediction_no_update BEFORE UPDATE ON prediction BEGIN SELECT RAISE(ABORT, 'append-only: prediction'); END;
CREATE TRIGGER prediction_no_delete BEFORE DELETE ON prediction BEGIN SELECT RAISE(ABORT, 'append-only: prediction'); END;
CREATE TRIGGER prediction_no_replace BEFORE INSERT ON prediction WHEN EXISTS (SELECT 1 FROM prediction WHERE model_sha256 = NEW.model_sha256 AND case_id = NEW.case_id) BEGIN SELECT RAISE(ABORT, 'append-only: prediction'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('reading',8);
COMMIT;
