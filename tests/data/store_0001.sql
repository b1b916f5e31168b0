BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE audit_event (
	sequence INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	study_key TEXT, 
	detail TEXT NOT NULL, 
	prev_hash TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	CONSTRAINT pk_audit_event PRIMARY KEY (sequence), 
	CONSTRAINT ck_audit_event_hashes CHECK (length(prev_hash) = 64 AND length(hash) = 64), 
	CONSTRAINT ck_audit_event_sequence CHECK (sequence >= 1), 
	CONSTRAINT uq_audit_event_hash UNIQUE (hash), 
	CONSTRAINT uq_audit_event_prev_hash UNIQUE (prev_hash)
)
 STRICT

;
INSERT INTO "audit_event" VALUES(1,'2026-11-26T10:15:40.750052+00:00','operator','person.create',NULL,'{"is_simulated":false,"login":"ann","role":"reader"}','0000000000000000000000000000000000000000000000000000000000000000','d7000214d960960dbb3c04eb974f1c322207593c5778352a6f1e7b5f10d7859c');
INSERT INTO "audit_event" VALUES(2,'2026-11-26T10:15:40.772432+00:00','operator','model.register',NULL,'{"architecture":"small","name":"net","sha256":"abababababababababababababababababababababababababababababababab"}','d7000214d960960dbb3c04eb974f1c322207593c5778352a6f1e7b5f10d7859c','59d140dd1c3d4049afdd9a9bc883f1cd05bbf668c7dc7c2822d2af965eae1a18');
INSERT INTO "audit_event" VALUES(3,'2026-11-26T10:15:40.784707+00:00','operator','study.create','earlier','{"is_synthetic":false,"protocol":{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Opened before seals"}}','59d140dd1c3d4049afdd9a9bc883f1cd05bbf668c7dc7c2822d2af965eae1a18','00efa62a680e15a36cdb5de43c6431eb548e1d6acb42eaa850e625c4f0923406');
INSERT INTO "audit_event" VALUES(4,'2026-11-26T10:15:40.824245+00:00','operator','study.import','earlier','{"cases_per_cohort":{"internal":4},"n_cases":4,"n_excluded":0}','00efa62a680e15a36cdb5de43c6431eb548e1d6acb42eaa850e625c4f0923406','61a7696c5380200a7d31597c2aa0f2f38dda2905133160765c5967d8607a2a39');
INSERT INTO "audit_event" VALUES(5,'2026-11-26T10:15:40.844053+00:00','operator','study.reader','earlier','{"arms":["unaided"],"cohorts":["internal"],"login":"ann","n_presentations":4,"order_algorithm":"pcg64-sha256-v1","order_seed":20230601}','61a7696c5380200a7d31597c2aa0f2f38dda2905133160765c5967d8607a2a39','7cf7c8a52591fc4df5bafdf60936990f80768ce8c2238d6cdf402ba7793b607f');
INSERT INTO "audit_event" VALUES(6,'2026-11-26T10:15:40.861005+00:00','operator','model.predict','earlier','{"model_sha256":"abababababababababababababababababababababababababababababababab","n_predictions":2,"n_replaced":0}','7cf7c8a52591fc4df5bafdf60936990f80768ce8c2238d6cdf402ba7793b607f','6817420cd3f8ccb6fb7e2a80577a0ce815ab925203265238bc719b3ab34d99b7');
INSERT INTO "audit_event" VALUES(7,'2026-11-26T10:15:40.870417+00:00','operator','study.state','earlier','{"from":"draft","to":"open"}','6817420cd3f8ccb6fb7e2a80577a0ce815ab925203265238bc719b3ab34d99b7','cf962764c4b79b9b75d626efd51e01ff2aca959b4ffa38a37e1b9852c336afa6');
INSERT INTO "audit_event" VALUES(8,'2026-11-26T10:15:41.055193+00:00','operator','study.state','earlier','{"from":"open","n_readings":2,"readings_sha256":"7c1ccbc7ec82fc5049329f4d0e6276fada7dbad46b2ff5dccde17ccc564bb4e1","to":"closed"}','cf962764c4b79b9b75d626efd51e01ff2aca959b4ffa38a37e1b9852c336afa6','18c1c2d38e6437be3d60a300759ebfe85d41968c734379e4c10a3be0e0f31b30');
INSERT INTO "audit_event" VALUES(9,'2026-11-26T10:15:41.062329+00:00','operator','study.create','draft','{"is_synthetic":false,"protocol":{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":null,"order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"A draft"}}','18c1c2d38e6437be3d60a300759ebfe85d41968c734379e4c10a3be0e0f31b30','cc9df73dffc34bd85aae41540026b5b8c54d1ff117e2eca9fb4364460be99fc6');
INSERT INTO "audit_event" VALUES(10,'2026-11-26T10:15:41.074110+00:00','operator','study.import','draft','{"cases_per_cohort":{"internal":2},"n_cases":2,"n_excluded":0}','cc9df73dffc34bd85aae41540026b5b8c54d1ff117e2eca9fb4364460be99fc6','d8286be747160421d657f637fa52e449a183d4ca8415032ed0d4f51b973b602f');
INSERT INTO "audit_event" VALUES(11,'2026-11-26T10:15:41.083673+00:00','operator','model.predict','draft','{"model_sha256":"abababababababababababababababababababababababababababababababab","n_predictions":1,"n_replaced":0}','d8286be747160421d657f637fa52e449a183d4ca8415032ed0d4f51b973b602f','7e52bf990fc90be8ea30a360213488a2e46c3fbe6ae85a16bac0dc6acd063400');
CREATE TABLE case_image (
	case_id TEXT NOT NULL, 
	view_number INTEGER NOT NULL, 
	image_id TEXT NOT NULL, 
	pixel_spacing_mm REAL, 
	CONSTRAINT pk_case_image PRIMARY KEY (case_id, view_number), 
	CONSTRAINT ck_case_image_spacing CHECK (pixel_spacing_mm IS NULL OR pixel_spacing_mm > 0), 
	CONSTRAINT ck_case_image_view CHECK (view_number >= 1), 
	CONSTRAINT fk_case_image_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id), 
	CONSTRAINT fk_case_image_image_id FOREIGN KEY(image_id) REFERENCES image (image_id)
)
 STRICT

;
INSERT INTO "case_image" VALUES('1f47e65b-d7e5-46f1-9e45-a9af04c162fc',1,'289c6153-701c-4015-8f63-b869babf5807',NULL);
INSERT INTO "case_image" VALUES('b8796324-5726-4212-a780-15d76201ccba',1,'132f4e98-c412-4040-97b8-5c9c743a2a25',NULL);
INSERT INTO "case_image" VALUES('fec0c549-acb0-4296-a809-d0b45e82685c',1,'929afce1-ba50-402b-8a38-1708c18223e8',NULL);
INSERT INTO "case_image" VALUES('c7578e3e-3173-4fe6-b2a6-7b1dc98c88f2',1,'2f4a00f8-f372-4f37-a0d0-e335f304c105',NULL);
INSERT INTO "case_image" VALUES('3e2e363b-3092-4e6e-a384-fa0a282169c4',1,'2222968f-ea48-4954-a801-59e4208a70ab',NULL);
INSERT INTO "case_image" VALUES('e4311ecd-304c-4102-94b1-2b78d9cf2ff1',1,'2f05ed1d-b5b6-48ee-9b36-92513e8f50c2',NULL);
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
INSERT INTO "cohort" VALUES('72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','internal');
INSERT INTO "cohort" VALUES('373b47f9-0623-4bf9-90ab-0551eeacbe02','82ef97c2-3504-4bc8-960f-589531824540','internal');
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
INSERT INTO "image" VALUES('289c6153-701c-4015-8f63-b869babf5807','0816528b26a14b14272302429907bb13986e697583bd801d27d2d22416de0664',3,4,8,X'89504E470D0A1A0A0000000D4948445200000004000000030800000000919FF11A0000001749444154789C63FCF7D42E9CE9CBCD275C4CC5AF7DEC003B9D0721DE6796CB0000000049454E44AE426082');
INSERT INTO "image" VALUES('132f4e98-c412-4040-97b8-5c9c743a2a25','cdf59cbf474a612edd0324e69814c4ef92542b0b8469d7ce0c379581adfc4fa0',3,4,8,X'89504E470D0A1A0A0000000D4948445200000004000000030800000000919FF11A0000001849444154789C63DC757BF7228633E2AFD919BE2E7EA60C003B4A076A79DDF0A00000000049454E44AE426082');
INSERT INTO "image" VALUES('929afce1-ba50-402b-8a38-1708c18223e8','d9b8b77ee39b6420909b6237c9b9960d367d676f47419bb1b91bf59b200ede37',3,4,8,X'89504E470D0A1A0A0000000D4948445200000004000000030800000000919FF11A0000001749444154789C63BC38D7568D712D939604D3EF439F7D01285705C40389D2430000000049454E44AE426082');
INSERT INTO "image" VALUES('2f4a00f8-f372-4f37-a0d0-e335f304c105','af179360ffca8f0c78817166b920f2c9ef50788a254654ffbc0c255a660cc6c9',3,4,8,X'89504E470D0A1A0A0000000D4948445200000004000000030800000000919FF11A0000001749444154789C6398AF77D98FD15D83238DD1E596032F0022EA043917F9F0A30000000049454E44AE426082');
INSERT INTO "image" VALUES('2222968f-ea48-4954-a801-59e4208a70ab','6bd8fa074f597caec264645654800509c18199597745c1167dcdc85db6ebf174',3,4,8,X'89504E470D0A1A0A0000000D4948445200000004000000030800000000919FF11A0000001749444154789C6350CE79EBC2C4FFE45B1FC349CB930E002CE70645FCE18D8F0000000049454E44AE426082');
INSERT INTO "image" VALUES('2f05ed1d-b5b6-48ee-9b36-92513e8f50c2','42b5e375c7fc464eb6c9af89476d38cee825a7ec5e3ed0b7cbf5d0742935f91f',3,4,8,X'89504E470D0A1A0A0000000D4948445200000004000000030800000000919FF11A0000001849444154789C63F4FE55BD9C51F3C2F5CB4C378C1EBE0000375307E2298D21FA0000000049454E44AE426082');
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
INSERT INTO "model_version" VALUES('abababababababababababababababababababababababababababababababab','net','small','net.safetensors','{}','2026-11-26T10:15:40.771463+00:00');
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
INSERT INTO "patient" VALUES('73949026-cd0a-4e52-8d9f-fac62387fd42','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','p-0');
INSERT INTO "patient" VALUES('0a3a2161-16ec-4e33-9a2e-aebedf87c241','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','p-1');
INSERT INTO "patient" VALUES('60b2f574-14de-4c94-9285-3bd10adcfab6','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','p-2');
INSERT INTO "patient" VALUES('ec1569b4-ea50-4b29-97c6-c8b2ba634502','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','p-3');
INSERT INTO "patient" VALUES('d318bc8f-c4ba-4216-89c1-f6b8a697c916','82ef97c2-3504-4bc8-960f-589531824540','373b47f9-0623-4bf9-90ab-0551eeacbe02','p-4');
INSERT INTO "patient" VALUES('5a225d64-c1c6-472f-aba3-6bcdab09847c','82ef97c2-3504-4bc8-960f-589531824540','373b47f9-0623-4bf9-90ab-0551eeacbe02','p-5');
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
INSERT INTO "person" VALUES('77f2eae6-4c41-429d-8469-9a68826af510','ann','Dr Ann','reader',NULL,0,NULL,1,'2026-11-26T10:15:40.749857+00:00');
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
	created_at TEXT NOT NULL, 
	CONSTRAINT pk_prediction PRIMARY KEY (model_sha256, case_id), 
	CONSTRAINT ck_prediction_maps CHECK ((class_maps IS NULL) = (class_maps_shape IS NULL)), 
	CONSTRAINT ck_prediction_entropy CHECK (entropy >= 0), 
	CONSTRAINT fk_prediction_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id), 
	CONSTRAINT fk_prediction_model_sha256 FOREIGN KEY(model_sha256) REFERENCES model_version (sha256)
)
 STRICT

;
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','1f47e65b-d7e5-46f1-9e45-a9af04c162fc','[0.25,0.25,0.25,0.25]',NULL,NULL,2.0,0,'cpu','fp32','2026-11-26T10:15:40.855122+00:00');
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','b8796324-5726-4212-a780-15d76201ccba','[0.25,0.25,0.25,0.25]',NULL,NULL,2.0,0,'cpu','fp32','2026-11-26T10:15:40.855122+00:00');
INSERT INTO "prediction" VALUES('abababababababababababababababababababababababababababababababab','3e2e363b-3092-4e6e-a384-fa0a282169c4','[0.25,0.25,0.25,0.25]',NULL,NULL,2.0,0,'cpu','fp32','2026-11-26T10:15:41.082502+00:00');
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
INSERT INTO "presentation" VALUES('a0d2eee0-204a-4d7b-891d-1d612aa5bddc','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','77f2eae6-4c41-429d-8469-9a68826af510','1f47e65b-d7e5-46f1-9e45-a9af04c162fc','unaided',1,1);
INSERT INTO "presentation" VALUES('7322b646-9740-4a79-978e-9778f93c6cdc','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','77f2eae6-4c41-429d-8469-9a68826af510','b8796324-5726-4212-a780-15d76201ccba','unaided',1,2);
INSERT INTO "presentation" VALUES('c48c1b1d-fbe2-4cc5-9d89-9bb192feb21d','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','77f2eae6-4c41-429d-8469-9a68826af510','c7578e3e-3173-4fe6-b2a6-7b1dc98c88f2','unaided',1,3);
INSERT INTO "presentation" VALUES('7bba5667-84aa-4594-873e-376ca1dfad6c','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','77f2eae6-4c41-429d-8469-9a68826af510','fec0c549-acb0-4296-a809-d0b45e82685c','unaided',1,4);
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
INSERT INTO "protocol_version" VALUES('216d89d2-0eb8-4adc-8929-0f8bebfab1fd',1,'{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":"abababababababababababababababababababababababababababababababab","order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"Opened before seals"}','2026-11-26T10:15:40.782427+00:00');
INSERT INTO "protocol_version" VALUES('82ef97c2-3504-4bc8-960f-589531824540',1,'{"arms":["unaided"],"classes":[{"aliases":["graves disease","graves'' disease","gd"],"key":"graves","label":"Graves'' disease","short_label":"Graves"},{"aliases":["normality","normal thyroid"],"key":"normal","label":"Normal","short_label":"Normal"},{"aliases":["subacute thyroiditis","thyroiditis"],"key":"sat","label":"Subacute thyroiditis","short_label":"SAT"},{"aliases":["tumour","thyroid tumor","thyroid tumour","nodule"],"key":"tumor","label":"Tumor","short_label":"Tumor"}],"confidence_labels":["guess","low","moderate","high","certain"],"may_revise":true,"model_sha256":null,"order_seed":20230601,"question":"Which diagnosis does this thyroid scintigram show?","title":"A draft"}','2026-11-26T10:15:41.061610+00:00');
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
INSERT INTO "reading" VALUES(1,'226e2abd-f3ff-4423-a8c2-092f99b1acbc','a0d2eee0-204a-4d7b-891d-1d612aa5bddc',1,'s0','sat',3,'',0,2.5,'{}','2026-11-26T10:15:41.029889+00:00');
INSERT INTO "reading" VALUES(2,'31eb2919-dd18-4c8b-877d-481dd1702690','7322b646-9740-4a79-978e-9778f93c6cdc',1,'s1','sat',3,'',0,2.5,'{}','2026-11-26T10:15:41.044663+00:00');
CREATE TABLE reference_standard (
	case_id TEXT NOT NULL, 
	class_key TEXT NOT NULL, 
	lesion_mask_png BLOB, 
	CONSTRAINT pk_reference_standard PRIMARY KEY (case_id), 
	CONSTRAINT fk_reference_standard_case_id FOREIGN KEY(case_id) REFERENCES study_case (case_id)
)
 STRICT

;
INSERT INTO "reference_standard" VALUES('1f47e65b-d7e5-46f1-9e45-a9af04c162fc','graves',NULL);
INSERT INTO "reference_standard" VALUES('b8796324-5726-4212-a780-15d76201ccba','normal',NULL);
INSERT INTO "reference_standard" VALUES('fec0c549-acb0-4296-a809-d0b45e82685c','sat',NULL);
INSERT INTO "reference_standard" VALUES('c7578e3e-3173-4fe6-b2a6-7b1dc98c88f2','tumor',NULL);
INSERT INTO "reference_standard" VALUES('3e2e363b-3092-4e6e-a384-fa0a282169c4','graves',NULL);
INSERT INTO "reference_standard" VALUES('e4311ecd-304c-4102-94b1-2b78d9cf2ff1','normal',NULL);
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
INSERT INTO "study" VALUES('216d89d2-0eb8-4adc-8929-0f8bebfab1fd','earlier','closed',0,'2026-11-26T10:15:40.782427+00:00');
INSERT INTO "study" VALUES('82ef97c2-3504-4bc8-960f-589531824540','draft','draft',0,'2026-11-26T10:15:41.061610+00:00');
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
INSERT INTO "study_case" VALUES('1f47e65b-d7e5-46f1-9e45-a9af04c162fc','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','73949026-cd0a-4e52-8d9f-fac62387fd42','case-0',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('b8796324-5726-4212-a780-15d76201ccba','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','0a3a2161-16ec-4e33-9a2e-aebedf87c241','case-1',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('fec0c549-acb0-4296-a809-d0b45e82685c','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','60b2f574-14de-4c94-9285-3bd10adcfab6','case-2',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('c7578e3e-3173-4fe6-b2a6-7b1dc98c88f2','216d89d2-0eb8-4adc-8929-0f8bebfab1fd','72c0a3f5-95a8-4270-80b9-fc0c28a38f4b','ec1569b4-ea50-4b29-97c6-c8b2ba634502','case-3',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('3e2e363b-3092-4e6e-a384-fa0a282169c4','82ef97c2-3504-4bc8-960f-589531824540','373b47f9-0623-4bf9-90ab-0551eeacbe02','d318bc8f-c4ba-4216-89c1-f6b8a697c916','case-4',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "study_case" VALUES('e4311ecd-304c-4102-94b1-2b78d9cf2ff1','82ef97c2-3504-4bc8-960f-589531824540','373b47f9-0623-4bf9-90ab-0551eeacbe02','5a225d64-c1c6-472f-aba3-6bcdab09847c','case-5',NULL,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "study_member" VALUES('216d89d2-0eb8-4adc-8929-0f8bebfab1fd','77f2eae6-4c41-429d-8469-9a68826af510','["internal"]','["unaided"]',20230601,'pcg64-sha256-v1','2026-11-26T10:15:40.836065+00:00');
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('reading',2);
COMMIT;
