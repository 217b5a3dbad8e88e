"""What helps to write a verdict: coded diagnoses to choose from, and texts to begin with.

The codes are ICD-10-CM's of the US National Center for Health Statistics, which is in the public
domain. A diagnosis stays a free line; one that is chosen from here ends with its code.
"""

import re

ICD_10_CM = {
    "C34.10": "Malignant neoplasm of upper lobe, unspecified bronchus or lung",
    "C34.11": "Malignant neoplasm of upper lobe, right bronchus or lung",
    "C34.12": "Malignant neoplasm of upper lobe, left bronchus or lung",
    "C34.2": "Malignant neoplasm of middle lobe, bronchus or lung",
    "C34.31": "Malignant neoplasm of lower lobe, right bronchus or lung",
    "C34.32": "Malignant neoplasm of lower lobe, left bronchus or lung",
    "C34.90": "Malignant neoplasm of unspecified part of unspecified bronchus or lung",
    "C33": "Malignant neoplasm of trachea",
    "C37": "Malignant neoplasm of thymus",
    "C38.4": "Malignant neoplasm of pleura",
    "C45.0": "Mesothelioma of pleura",
    "C77.1": "Secondary malignant neoplasm of intrathoracic lymph nodes",
    "C78.00": "Secondary malignant neoplasm of unspecified lung",
    "C78.2": "Secondary malignant neoplasm of pleura",
    "C7A.090": "Malignant carcinoid tumor of the bronchus and lung",
    "D14.30": "Benign neoplasm of unspecified bronchus and lung",
    "D38.1": "Neoplasm of uncertain behavior of trachea, bronchus and lung",
    "D86.0": "Sarcoidosis of lung",
    "A15.0": "Tuberculosis of lung",
    "B90.9": "Sequelae of respiratory and unspecified tuberculosis",
    "I26.99": "Other pulmonary embolism without acute cor pulmonale",
    "I25.10": "Atherosclerotic heart disease of native coronary artery without angina pectoris",
    "I71.20": "Thoracic aortic aneurysm, without rupture, unspecified",
    "J18.9": "Pneumonia, unspecified organism",
    "J43.2": "Centrilobular emphysema",
    "J43.9": "Emphysema, unspecified",
    "J47.9": "Bronchiectasis, uncomplicated",
    "J84.10": "Pulmonary fibrosis, unspecified",
    "J84.112": "Idiopathic pulmonary fibrosis",
    "J85.2": "Abscess of lung without pneumonia",
    "J90": "Pleural effusion, not elsewhere classified",
    "J92.9": "Pleural plaque without asbestos",
    "J93.9": "Pneumothorax, unspecified",
    "J98.11": "Atelectasis",
    "J98.4": "Other disorders of lung",
    "R59.0": "Localized enlarged lymph nodes",
    "R91.1": "Solitary pulmonary nodule",
    "R91.8": "Other nonspecific abnormal finding of lung field",
}

TEXTS = {
    "No suspicious nodule": (
        "Lungs fully assessed. No nodule that needs follow-up. No enlarged lymph nodes. "
        "No pleural effusion."
    ),
    "Nodule, follow-up": (
        "Nodule as described above. Lymph nodes of normal size. No pleural effusion.\n"
        "Recommendation: low-dose CT after … months."
    ),
    "Suspicious nodule": (
        "Suspicious nodule as described above.\nLymph nodes: …\nPleura: …\n"
        "Recommendation: discussion in the tumour board; PET/CT or biopsy."
    ),
    "Compared with the prior": "Compared with the CT of …: number and size of the nodules …",
}

_CODE = re.compile(r"\[ICD-10-CM ([A-Z0-9.]+)\]\s*$")


def suggestions() -> list[str]:
    """The lines that the page offers while a diagnosis is typed."""
    return [f"{words} [ICD-10-CM {code}]" for code, words in ICD_10_CM.items()]


def code_of(diagnosis: str) -> tuple[str, str] | None:
    """(code, meaning) where a diagnosis ends with a code of ours, else None."""
    found = _CODE.search(diagnosis)
    if found is None or found[1] not in ICD_10_CM:
        return None
    return found[1], ICD_10_CM[found[1]]
